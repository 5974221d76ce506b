"""Where, not only when: whole tests of real video against masks and tracks."""

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.io import savemat

from memguard.data.datasets.labels import read_tracks
from memguard.scoring.localization import hit_rate, rbdc_tbdc
from tests.conftest import write_video
from tests.end_to_end.conftest import SMALL, run_command

OF_BOXES = ("rbdc", "tbdc", "hit_rate")


def run(module: str, *words: str, folder: Path) -> dict[str, float]:
    """Run a command that ends well, and give its metrics."""
    done = run_command(module, *words, f"hydra.run.dir={folder}", "logger=csv", folder=folder)
    assert done.returncode == 0, done.stderr
    metrics: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    return metrics


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def require_everywhere(folder: Path, metrics: dict[str, float]) -> None:
    """Make sure that the table of protocols and the report have the metrics of places."""
    (row,) = (row for row in rows_of(folder / "tables/protocols.csv") if row["score"] == "places")
    of_places = {name: float(value) for name, value in row.items() if value and name != "score"}
    assert of_places == pytest.approx({name: metrics[f"test/{name}"] for name in of_places})
    assert set(OF_BOXES) <= set(of_places)
    assert ("auroc_pixel" in of_places) == ("test/auroc_pixel" in metrics)
    page = (folder / "report.html").read_text()
    for name in ("RBDC", "TBDC", "hit rate", *(["pixel AUROC"] if len(of_places) > 3 else [])):
        assert name in page


def detections_of(folder: Path) -> dict[str, np.ndarray]:
    """Read the boxes that a test found, their ends within them."""
    found: dict[str, list[list[float]]] = {}
    for row in rows_of(folder / "regions.csv"):
        left, top, right, bottom = (float(row[s]) for s in ("left", "top", "right", "bottom"))
        box = [float(row["frame"]), left, top, right - 1, bottom - 1, float(row["score"])]
        found.setdefault(row["video"], []).append(box)
    return {video: np.array(boxes) for video, boxes in found.items()}


def copy_start(source: Path, target: Path, frames: int) -> None:
    """Copy the first frames of a video as they are encoded."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(source)) as original, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(original.streams.video[0])
        for packet in islice(original.demux(video=0), frames):
            packet.stream = stream
            copy.mux(packet)


@pytest.fixture(scope="module")
def avenue(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Avenue's video 08, anomalous throughout, after two dozen frames of a normal video."""
    root = tmp_path_factory.mktemp("avenue")
    source, masks = real_data / "avenue", Path("ground_truth_demo/testing_label_mask")
    (root / masks).mkdir(parents=True)
    (root / masks / "8_label.mat").symlink_to(source / masks / "8_label.mat")
    normal = np.empty((1, 24), object)
    normal[:] = [[np.zeros((360, 640), np.uint8) for _ in range(24)]]
    savemat(root / masks / "7_label.mat", {"volLabel": normal}, do_compression=True)
    copy_start(source / "training_videos/12.avi", root / "training_videos/12.avi", 24)
    copy_start(source / "training_videos/12.avi", root / "testing_videos/07.avi", 24)
    copy_start(source / "testing_videos/08.avi", root / "testing_videos/08.avi", 36)
    return root


def test_avenue_is_tested_by_its_masks(avenue: Path, tmp_path: Path) -> None:
    words = "baseline=frame_difference", "dataset=avenue", f"dataset.root={avenue}"
    metrics = run("evaluate", *words, folder=tmp_path)
    assert (metrics["test/frames"], metrics["test/frames_anomalous"]) == (20 + 32, 32)
    assert "test/auroc" in metrics
    assert metrics["test/auroc_patch"] > 0.95  # each video is of one class: others compare within
    assert metrics["test/auroc_pixel"] > 0.7
    assert metrics["test/hit_rate"] > 0.9  # one man runs, and nothing else moves as fast
    assert metrics["test/rbdc"] > 0.9
    assert metrics["test/tbdc"] > 0.9
    require_everywhere(tmp_path, metrics)


def test_a_trained_network_is_tested_by_avenues_masks(avenue: Path, tmp_path: Path) -> None:
    words = [word for word in SMALL if not word.startswith(("dataset=", "data.holdout"))]
    words += ["dataset=avenue", f"dataset.root={avenue}", "trainer.max_epochs=1"]
    trained = run("train", *words, folder=tmp_path / "run")
    again = run("evaluate", f"run={tmp_path}/run", folder=tmp_path / "test")
    for name in ("auroc", "auroc_pixel", *OF_BOXES):
        assert 0 <= again[f"test/{name}"] == pytest.approx(trained[f"test/{name}"])
    require_everywhere(tmp_path / "run", trained)


# Of two videos of ShanghaiTech, the frames that are tested and those that are anomalous.
PARTS = {"01_0014": (range(140, 170), 16), "01_0016": (range(20), 0)}


def pictures(path: Path, frames: range) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in islice(container.decode(video=0), frames.start, frames.stop):
            yield frame.to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def campus(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts of two test videos of ShanghaiTech, one of them normal, without training videos."""
    root, source = tmp_path_factory.mktemp("campus"), real_data / "shanghaitech"
    for place in ("testing/test_frame_mask", "tracks"):
        (root / place).mkdir(parents=True)
    for video, (frames, anomalous) in PARTS.items():
        whole = source / "testing" / "videos" / f"{video}.mp4"
        shown = np.stack(list(pictures(whole, frames)))
        write_video(root / "testing" / "videos" / f"{video}.mp4", shown)
        labels = np.load(source / "testing" / "test_frame_mask" / f"{video}.npy")[frames]
        assert labels.sum() == anomalous
        np.save(root / "testing" / "test_frame_mask" / f"{video}.npy", labels)
        boxes = np.loadtxt(source / "tracks" / f"{video}.txt", delimiter=",")
        boxes = boxes[np.isin(boxes[:, 1], frames)] - [0, frames.start, 0, 0, 0, 0]
        np.savetxt(root / "tracks" / f"{video}.txt", boxes, "%g", ",")
    return root


def test_shanghaitech_is_tested_by_its_tracks(campus: Path, tmp_path: Path) -> None:
    words = "baseline=frame_difference", "dataset=shanghaitech", f"dataset.root={campus}"
    metrics = run("evaluate", *words, folder=tmp_path)
    assert (metrics["test/frames"], metrics["test/frames_anomalous"]) == (26 + 16, 16)
    assert "test/auroc" in metrics
    assert metrics["test/auroc_patch"] > 0.9  # one video is normal: others compare within a video
    assert "test/auroc_pixel" not in metrics
    require_everywhere(tmp_path, metrics)

    # The files of the run give the same figures.
    tracks = {
        video: read_tracks(campus / "tracks" / f"{video}.txt", len(frames), 480, 856)
        for video, (frames, _anomalous) in PARTS.items()
    }
    found = (
        *rbdc_tbdc(detections_of(tmp_path), tracks, 42),
        hit_rate(detections_of(tmp_path), tracks),
    )
    assert found == pytest.approx([metrics[f"test/{name}"] for name in OF_BOXES], abs=1e-6)
    assert metrics["test/rbdc"] > 0.3
