"""The authors' files, imported and evaluated by command, against their own test loop."""

import csv
import json
import os
import subprocess
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import binary_auroc

from tests.end_to_end.conftest import run_command

# Blue, green and red of a wall; far enough apart that their order shows in every frame's PSNR.
WALL = np.array([60, 110, 180])


def memguard(module: str, *overrides: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MEMGUARD_CACHE": str(folder / "cache")}
    return run_command(module, *overrides, folder=folder, environment=environment)


def write_videos(root: Path) -> list[str]:
    """Write two videos of a noisy wall that a bright square crosses, and random labels.

    They have the network's size: our resize is OpenCV's to within one grey level, not to the bit.
    """
    rng = np.random.default_rng(0)
    rows = ["video,frame,label"]
    for name, length in (("01", 13), ("02", 11)):
        (root / "test" / name).mkdir(parents=True)
        for number in range(length):
            frame = (WALL + rng.normal(0, 4, (256, 256, 3))).clip(0, 255).astype(np.uint8)
            if 6 <= number < 9:
                frame[40:120, 24 * number - 100 :][:, :60] = 240
            cv2.imwrite(str(root / "test" / name / f"{number:03d}.bmp"), frame)
            rows.append(f"{name},{number},{rng.integers(2)}")
    (root / "labels.csv").write_text("\n".join(rows))
    return rows[1:]


def read_as_they_do(folder: Path) -> Tensor:
    """(frames, C, H, W), colours in OpenCV's order, values in [−1, 1]."""
    frames = np.stack([cv2.imread(str(path)) for path in sorted(folder.iterdir())])
    return torch.from_numpy(frames.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)


def trained(published: ModuleType, task: str) -> nn.Module:
    """A network whose output is nearly the wall: frames of the wall alone pass the gate."""
    torch.manual_seed(1)
    network = published.convAE(task, width=4, features=16, size=3).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, 0, 0.2)
    output = network.decoder.moduleDeconv1[6]
    with torch.no_grad():
        output.weight.mul_(0.2)
        output.bias.copy_(torch.atanh(torch.from_numpy(WALL / 127.5 - 1)))
    return network


@pytest.mark.parametrize(
    ("task", "gate", "share", "past"), [("pred", 0.01, 0.6, 4), ("recon", 0.015, 0.7, 0)]
)
def test_an_imported_checkpoint_scores_each_frame_as_the_authors_test(
    published: ModuleType, tmp_path: Path, task: str, gate: float, share: float, past: int
) -> None:
    network = trained(published, task)
    items = F.normalize(torch.rand(3, 16), dim=1)
    torch.save(network, tmp_path / "model.pth", _use_new_zipfile_serialization=False)
    torch.save(items, tmp_path / "keys.pt", _use_new_zipfile_serialization=False)
    labels = write_videos(tmp_path / "scene")
    for module, *overrides in (
        ("import_official", "model=model.pth", "items=keys.pt", f"task={task}", "output=m.ckpt"),
        ("evaluate", "checkpoint=m.ckpt", "dataset=folder", "dataset.root=scene",
         "data.threads=0", "hydra.run.dir=run"),
    ):  # fmt: skip
        done = memguard(module, *overrides, folder=tmp_path)
        assert done.returncode == 0, done.stderr

    videos = [read_as_they_do(tmp_path / "scene" / "test" / name) for name in ("01", "02")]
    expected = published.score_frames(network, items, videos, gate)
    with (tmp_path / "run" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    def column(name: str) -> list[float]:
        return [float(row[name]) for row in rows]

    columns = zip(*chain.from_iterable(expected), strict=True)
    for name, values in zip(("psnr", "distance", "regular", "written"), columns, strict=True):
        assert column(name) == pytest.approx([float(value) for value in values], rel=1e-4), name
    assert 0 < sum(column("written")) < len(rows)
    scored = [label for label in labels if int(label.split(",")[1]) >= past]
    assert [f"{r['video']},{int(r['frame'])},{r['label']}" for r in rows] == scored

    normality = torch.cat([published.normality(frames, share) for frames in expected])
    is_normal = torch.tensor([1 - int(label[-1]) for label in scored])
    metrics: dict[str, Any] = json.loads((tmp_path / "run" / "metrics.json").read_text())
    auroc = float(binary_auroc(normality, is_normal))
    assert 0.2 < auroc < 0.8
    assert metrics["test/auroc"] == pytest.approx(auroc, abs=1e-4)


def test_a_file_that_asks_for_code_is_one_sentence_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"\x80\x02cos\nsystem\nX\x0a\x00\x00\x00touch ran \x85R.")
    done = memguard(
        "import_official", "model=model.pth", "items=keys.pt", "output=m.ckpt", folder=tmp_path
    )
    assert done.returncode == 1
    assert "model.pth asks for os.system, which no saved model needs" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_no_training_resumes_from_an_imported_checkpoint(
    published: ModuleType, tmp_path: Path
) -> None:
    torch.save(published.convAE("pred", width=2, features=8, size=3), tmp_path / "model.pth")
    torch.save(F.normalize(torch.rand(3, 8), dim=1), tmp_path / "keys.pt")
    files = ["model=model.pth", "items=keys.pt", "output=m.ckpt"]
    assert memguard("import_official", *files, folder=tmp_path).returncode == 0
    done = memguard("train", "checkpoint=m.ckpt", "logger=csv", folder=tmp_path)
    assert done.returncode == 1
    assert "m.ckpt holds weights alone, and no training can resume from it" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "begin a new training from it with weights" in done.stderr


def test_a_training_begins_with_an_imported_checkpoint(
    published: ModuleType, shared_scene: Path, tmp_path: Path
) -> None:
    official = published.convAE("pred", width=2, features=8, size=3)
    torch.save(official, tmp_path / "model.pth")
    torch.save(F.normalize(torch.rand(3, 8), dim=1), tmp_path / "keys.pt")
    files = ["model=model.pth", "items=keys.pt", "output=m.ckpt"]
    assert memguard("import_official", *files, folder=tmp_path).returncode == 0
    done = memguard(
        "train", "weights=m.ckpt", "model=mnad", "model.width=2", "memory.dim=8", "memory.size=3",
        "dataset=folder", f"dataset.root={shared_scene}", "data.frame_size=32", "logger=csv",
        "optimizer.lr=1e-9", "trainer.max_epochs=1", "hydra.run.dir=run", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trained, imported = (
        torch.load(tmp_path / path, weights_only=True)["state_dict"]
        for path in ("run/checkpoints/last.ckpt", "m.ckpt")
    )
    descended_on = "autoencoder.encoder.blocks.0.0.weight"
    assert torch.allclose(trained[descended_on], imported[descended_on])
