"""Exports as a user types them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import memguard
from memguard.convert.exporting import export
from memguard.errors import UserError
from memguard.live.graph.description import Description
from memguard.live.graph.runtime import open_graph
from memguard.live.graph.scorer import GraphScorer
from tests.conftest import moving_square, write_video
from tests.end_to_end.conftest import run_command


@pytest.fixture(scope="module")
def door(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported graph of the small network."""
    folder = tmp_path_factory.mktemp("export")
    done = run_command("export", f"checkpoint={checkpoint}", "output=door.onnx", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "door.onnx scores windows of 5 frames of 32 × 32 pixels" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["door.json", "door.onnx"]
    return folder / "door.onnx"


@pytest.fixture(scope="module")
def openvino_door(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for OpenVINO."""
    folder = tmp_path_factory.mktemp("openvino")
    words = [f"checkpoint={checkpoint}", "format=openvino", "output=door.xml"]
    done = run_command("export", *words, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "door.xml"


def test_the_description_has_what_the_checkpoint_learned(door: Path, checkpoint: Path) -> None:
    described = json.loads(door.with_suffix(".json").read_text())
    learned = torch.load(checkpoint, weights_only=True)["state_dict"]
    np.testing.assert_array_equal(
        np.array(described["items"], np.float32), learned["memory.items"].numpy()
    )
    normal = np.array(described["alarm"]["normal_scores"], np.float32)
    np.testing.assert_array_equal(normal, learned["alarm.normal_scores"].numpy())
    assert described["guard"]["threshold"] == pytest.approx(
        float(learned["guard.normal_scores"][50]), rel=1e-6
    )
    assert described["version"] == memguard.__version__
    assert (described["format"], described["opset"], described["fps"]) == ("onnx", 18, 25.0)
    session = onnxruntime.InferenceSession(door)
    assert session.get_inputs()[0].shape[1:] == [5, 32, 32, 1]


def test_openvino_writes_its_weights_beside_the_graph(openvino_door: Path) -> None:
    folder = openvino_door.parent
    assert sorted(path.name for path in folder.iterdir()) == ["door.bin", "door.json", "door.xml"]
    assert json.loads((folder / "door.json").read_text())["opset"] is None


def test_the_guard_is_exported_as_the_command_changes_it(checkpoint: Path, tmp_path: Path) -> None:
    words = [f"checkpoint={checkpoint}", "output=door.onnx", "guard.threshold=0.25"]
    done = run_command("export", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "door.json").read_text())["guard"]["threshold"] == 0.25


def psnr_of(graph: Path, video: Path) -> np.ndarray:
    scorer = GraphScorer(open_graph(graph, "openvino"), Description.of_graph(graph))
    return np.array(scorer.score(video)["psnr"])


def export_int8(checkpoint: Path, frames: int, folder: Path) -> "subprocess.CompletedProcess[str]":
    normal = write_video(folder / "normal.mp4", moving_square(frames, seed=1))
    words = ["format=openvino", "precision=int8", f"video={normal}", "output=small.xml"]
    return run_command("export", f"checkpoint={checkpoint}", *words, folder=folder)


def test_int8_has_smaller_weights_and_nearly_the_scores(
    openvino_door: Path, checkpoint: Path, tmp_path: Path
) -> None:
    done = export_int8(checkpoint, 50, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "its scores differ from PyTorch's by at most 0." in done.stdout
    assert "on 4 normal windows, where 0 is" in done.stdout

    small = tmp_path / "small.xml"
    sizes = [path.with_suffix(".bin").stat().st_size for path in (small, openvino_door)]
    assert sizes[0] < 0.5 * sizes[1]
    video = write_video(tmp_path / "door.mp4", moving_square(40, seed=3))
    found, expected = (psnr_of(path, video) for path in (small, openvino_door))
    assert 0 < np.abs(found - expected).max() < 0.5


def test_int8_with_other_scores_is_reported(checkpoint: Path, tmp_path: Path) -> None:
    done = export_int8(checkpoint, 60, tmp_path)  # at its end, the square jumps back
    assert done.returncode == 1
    assert "small.xml gives other scores than PyTorch, by up to" in done.stderr


def test_int8_without_its_package_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    words = ["format=openvino", "precision=int8", "video=normal.mp4", f"output={tmp_path}/door.xml"]
    config = memguard.compose([f"checkpoint={checkpoint}", *words], "export")
    with pytest.raises(UserError, match=r"needs nncf .*: pip install '.*\[export,openvino\]'"):
        export(config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["output=door.xml"],
            "output=door.xml cannot work with format=onnx: its name must end in .onnx.",
        ),
        (
            ["output=door.onnx", "precision=int8", "video=door.mp4"],
            "precision=int8 cannot work with format=onnx: set format=openvino.",
        ),
        (
            ["output=door.xml", "format=openvino", "precision=int8"],
            "precision=int8 needs normal video: set video to a file, or a folder of videos.",
        ),
        (
            ["output=door.xml", "format=openvino", "video=door.mp4"],
            "video=door.mp4 cannot work with precision=fp32: leave it out.",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    words: list[str], sentence: str, checkpoint: Path, tmp_path: Path
) -> None:
    done = run_command("export", f"checkpoint={checkpoint}", *words, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(sentence)
    assert list(tmp_path.iterdir()) == []


# Scores as a user does, in a process that cannot import PyTorch.
WITHOUT_TORCH = """
import runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "pytorch_lightning", "lightning_fabric", "decord"):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Missing())
runpy.run_module("memguard.score", run_name="__main__", alter_sys=True)
"""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_graph_gives_scores_and_events_without_pytorch(
    backend: str, request: pytest.FixtureRequest, checkpoint: Path, tmp_path: Path
) -> None:
    graph = request.getfixturevalue({"onnx": "door", "openvino": "openvino_door"}[backend])
    slow, fast = moving_square(40, seed=8), moving_square(30, speed=5, seed=3)
    video = write_video(tmp_path / "door.mp4", np.concatenate([slow, fast, slow]))
    common = [f"video={video}", "alarm.false_per_hour=10000", "conditions=false"]
    words = [f"checkpoint={graph}", f"backend={backend}", *common, "hydra.run.dir=edge"]
    edge = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert edge.returncode == 0, edge.stderr
    words = [f"checkpoint={checkpoint}", "trainer.precision=32-true", *common]
    done = run_command("score", *words, "hydra.run.dir=torch", folder=tmp_path)
    assert done.returncode == 0, done.stderr

    found, expected = (rows(tmp_path / name / "scores.csv") for name in ("edge", "torch"))
    assert len(found) == len(expected) == 106
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.pop("video") == theirs.pop("video")
        assert [float(x) for x in ours.values()] == pytest.approx(
            [float(x) for x in theirs.values()], abs=1e-4
        )
    events = [
        [{**row, "id": "", "peak_score": "", "normal_per_hour": ""} for row in rows(path)]
        for path in (tmp_path / "edge" / "events.csv", tmp_path / "torch" / "events.csv")
    ]
    assert events[0] == events[1] != []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["backend=openvino"], "was exported with format=onnx: set backend=onnx, or export"),
        (["backend=onnx", "standing=true"], "door.onnx does not know how much normal hours differ"),
        (["backend=onnx", "guard.threshold=auto"], "backend=onnx takes γ and precision as they"),
        (["backend=onnx", "checkpoint=none.onnx"], "none.onnx: there is no such file"),
    ],
)
def test_scoring_that_a_graph_cannot_do_is_refused(
    words: list[str], sentence: str, door: Path, tmp_path: Path
) -> None:
    named = [] if any(word.startswith("checkpoint") for word in words) else [f"checkpoint={door}"]
    done = run_command("score", *named, *words, "video=door.mp4", folder=tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr
