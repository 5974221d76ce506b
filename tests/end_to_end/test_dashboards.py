"""Whole commands and their loggers: each logger's own files hold the run."""

import csv
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from wandb.proto.wandb_internal_pb2 import Record

from tests.end_to_end.conftest import run_command

SMALL = [
    "dataset=folder", "model=mnad_tiny", "model.width=4", "memory.dim=32", "memory.size=4",
    "data.frame_size=32", "data.threads=1", "trainer.max_epochs=2", "trainer.log_every_n_steps=1",
]  # fmt: skip


def train(scene: Path, folder: Path, *overrides: str, flag: str = "--run") -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = run_command(
        "train", flag, *SMALL, f"dataset.root={scene}", *overrides,
        f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}",
        folder=folder, environment=without | {"HOME": str(folder / "home")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def records(file: Path) -> Iterator[Record]:
    """Read W&B's record of an offline run: LevelDB's log format after a header of seven bytes."""
    data = file.read_bytes()
    assert data.startswith(b":W&B")
    place, payload = 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:  # the rest of a block is too short for a part
            place += left
            continue
        _checksum, length, kind = struct.unpack_from("<IHB", data, place)
        payload += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield Record.FromString(payload)
            payload = b""


class WandbRun:
    """An offline run as its files have it: what ``wandb sync`` would upload."""

    def __init__(self, folder: Path) -> None:
        (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
        self.files = file.parent / "files"
        self.history: list[dict[str, Any]] = []
        self.artifacts: dict[str, list[str]] = {}
        for record in records(file):
            if record.HasField("history"):
                self.history.append(dict(map(_item, record.history.item)))
            elif record.HasField("artifact"):
                paths = [entry.path for entry in record.artifact.manifest.contents]
                self.artifacts[record.artifact.type] = paths
            elif record.HasField("run"):
                self.name, self.group = record.run.display_name, record.run.run_group
                self.tags = list(record.run.tags)
            elif record.HasField("config"):
                self.config = {i.key: json.loads(i.value_json) for i in record.config.update}
            elif record.HasField("exit"):
                self.exit_code = record.exit.exit_code

    def series(self, key: str) -> list[Any]:
        return [row[key] for row in self.history if key in row]

    def pictures(self, key: str) -> list[Path]:
        return [self.files / name for names in self.series(f"{key}/filenames") for name in names]

    def table(self, key: str) -> dict[str, Any]:
        (path,) = self.series(f"{key}/path")
        return json.loads((self.files / path).read_text())


def _item(item: Any) -> tuple[str, Any]:
    return item.key or "/".join(item.nested_key), json.loads(item.value_json)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared_scene: Path) -> Path:
    """A run's folder."""
    folder = tmp_path_factory.mktemp("dashboards") / "run"
    # Half of the frames are held out, so that there is enough for every pseudo-anomaly.
    train(
        shared_scene, folder, "logger=wandb", "data.holdout=0.5",
        "callbacks.test_each_epoch.enabled=true", "tags=[wide,second]",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> WandbRun:
    """The run as W&B has it."""
    return WandbRun(folder)


def test_wandb_has_tags_and_options_to_find_and_group_runs_by(run: WandbRun) -> None:
    assert run.tags == ["wide", "second"]
    assert run.config["tags"] == run.tags
    options = run.config["options"]
    chosen = {group: options[group] for group in ("dataset", "task", "model", "experiment")}
    assert chosen == {"dataset": "folder", "task": "pred", "model": "mnad_tiny", "experiment": None}


def test_wandb_has_every_curve(run: WandbRun) -> None:
    steps = len(run.series("train/loss"))
    assert steps == 2 * 2  # batches in two epochs
    for name in ("pixel", "compactness", "separateness", "psnr", "lr"):
        assert len(run.series(f"train/{name}")) == steps
    weights = run.config["loss"]
    for row in (row for row in run.history if "train/loss" in row):
        assert row["train/loss"] == pytest.approx(
            row["train/pixel"]
            + weights["compactness"] * row["train/compactness"]
            + weights["separateness"] * row["train/separateness"],
            rel=1e-4,
        )
    rates = run.series("train/lr")
    assert rates[0] == pytest.approx(1e-3)
    assert rates == sorted(rates, reverse=True)
    for name in ("val/psnr", "memory/dead", "memory/entropy", "memory/drift_mean",
                 "memory/cosine_max", "not_for_selection/auroc"):  # fmt: skip
        assert len(run.series(name)) == 2, name
    kinds = [run.series(f"val/pseudo_auroc_{kind}")
             for kind in ("pasted", "fast", "backwards", "frozen")]  # fmt: skip
    assert np.allclose(np.mean(kinds, axis=0), run.series("val/pseudo_auroc"))


def test_the_last_epochs_test_is_the_runs_own(run: WandbRun) -> None:
    (final,) = run.series("test/auroc")
    assert run.series("not_for_selection/auroc")[-1] == final


def test_wandb_has_every_picture(run: WandbRun, folder: Path) -> None:
    counts = {
        key: len(run.pictures(key))
        for key in ("val/held_out_clips", "memory/items", "test/scores", "test/worst_frames",
                    "test/written_frames", "test/curves")
    }  # fmt: skip
    assert counts.pop("val/held_out_clips") == counts.pop("memory/items") == 2  # one an epoch
    assert set(counts.values()) == {1}
    assert sum(1 for _ in run.files.rglob("*.png")) == 2 * 2 + 4
    for shown, file in (("test/scores", "scores.png"), ("memory/items", "memory.png")):
        picture = Image.open(run.pictures(shown)[-1])
        assert picture.size[0] >= 2 * 700  # sharp on screens of two pixels a point
        assert np.ptp(np.asarray(picture.convert("L"))) == 255
        assert np.array_equal(picture, Image.open(folder / "figures" / file))
    first, last = (np.asarray(Image.open(path)) for path in run.pictures("val/held_out_clips"))
    assert first.shape == last.shape
    assert (first != last).any()  # a model that learns predicts other frames


def test_wandb_has_every_table(run: WandbRun, folder: Path) -> None:
    videos, protocols = run.table("test/videos"), run.table("test/protocols")
    assert [row[0] for row in videos["data"]] == ["0", "1"]
    written = [row[videos["columns"].index("written")] for row in videos["data"]]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert sum(written) == metrics["test/frames_written"]
    by_name = {row[0]: dict(zip(protocols["columns"], row, strict=True))
               for row in protocols["data"]}  # fmt: skip
    assert by_name["published"]["eer"] == pytest.approx(metrics["test/eer"])
    assert by_name["patch"]["auroc"] == pytest.approx(metrics["test/auroc_patch"])
    shared_range = pytest.approx(metrics["test/auroc_shared_range"])
    assert by_name["shared_range"]["auroc"] == shared_range
    assert len(by_name) == 9
    for table, name in ((videos, "videos"), (protocols, "protocols")):
        with (folder / "tables" / f"{name}.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == table["columns"]
        assert [row[0] for row in rows] == [row[0] for row in table["data"]]


def test_wandb_counts_every_items_use(run: WandbRun) -> None:
    for share in run.series("memory/use/values"):
        assert len(share) == 4
        assert sum(share) == pytest.approx(1)


def test_wandb_keeps_checkpoint_scores_and_report(run: WandbRun, folder: Path) -> None:
    assert run.artifacts["checkpoint"] == ["last.ckpt"]
    assert run.artifacts["scores"] == ["scores.csv"]
    assert run.artifacts["report"] == ["report.html"]
    (panel,) = run.series("report/path")
    assert (run.files / panel).read_bytes() == (folder / "report.html").read_bytes()
    assert run.exit_code == 0


def test_metrics_hold_what_a_sweep_may_choose_by(folder: Path, run: WandbRun) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["val/pseudo_auroc"] == pytest.approx(run.series("val/pseudo_auroc")[-1])


def test_the_jobs_of_a_sweep_are_runs_of_one_group_named_by_what_varies(
    shared_scene: Path, tmp_path: Path
) -> None:
    train(
        shared_scene, tmp_path / "sweep", "logger=wandb", "trainer.max_epochs=1",
        "guard.threshold=0.01", "data.holdout=0,0.5", flag="-m",
    )  # fmt: skip
    jobs = [WandbRun(path.parent) for path in sorted((tmp_path / "sweep").glob("*/wandb"))]
    jobs.sort(key=lambda job: len(job.name))
    names = [job.name.rpartition("_")[0] for job in jobs]  # a digest follows
    assert names == ["data.holdout-0", "data.holdout-0.5"]
    assert [job.group for job in jobs] == ["sweep", "sweep"]
    assert [len(job.series("test/auroc")) for job in jobs] == [1, 1]
    # Where nothing is held out there is nothing to make pseudo-anomalies of.
    assert [len(job.series("val/pseudo_auroc")) for job in jobs] == [0, 1]
    assert [len(job.pictures("val/held_out_clips")) for job in jobs] == [0, 1]


def test_tensorboard_has_the_same(shared_scene: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(shared_scene, tmp_path / "run", "logger=tensorboard")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), {"histograms": 0})
    events.Reload()
    assert len(events.Scalars("val/pseudo_auroc")) == 2
    assert len(events.Images("val/held_out_clips")) == 2
    assert len(events.Images("test/scores")) == 1
    use = events.Histograms("memory/use")
    assert [sum(event.histogram_value.bucket) for event in use] == pytest.approx([1, 1])
    table = events.Tensors("test/videos/text_summary")[0].tensor_proto.string_val[0].decode()
    assert table.splitlines()[0].startswith("| video | frames |")
    assert len(table.splitlines()) == 2 + 2


def test_no_logger_leaves_the_same_files(shared_scene: Path, tmp_path: Path) -> None:
    train(shared_scene, tmp_path / "run", "logger=none", "task=recon")
    names = {str(path.relative_to(tmp_path / "run"))
             for path in (tmp_path / "run").rglob("*.*")}  # fmt: skip
    expected = {
        "metrics.json", "scores.csv", "figures/scores.png", "figures/memory.png",
        "figures/curves.png", "figures/epochs/held_out_clips_002.png", "tables/videos.csv",
    }  # fmt: skip
    assert expected <= names
    assert not [name for name in names if name.startswith(("wandb", "curves", "tensorboard"))]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    kinds = [name for name in metrics if name.startswith("val/pseudo_auroc_")]
    assert kinds == ["val/pseudo_auroc_pasted"]  # one frame has no time in it
