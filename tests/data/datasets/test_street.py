"""The street dataset: its files, their consistency, and the difficulty of detection."""

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from torch import from_numpy
from torchmetrics.functional.classification import binary_auroc

from memguard.data.datasets.labels import read_tracks
from memguard.data.datasets.street import STREET, Plan, Video, film, generate, is_complete
from memguard.data.datasets.street.figures import WALK, Fixture, Tree, Walker
from memguard.data.datasets.street.place import CROSSING, PROMENADE
from memguard.data.datasets.street.scene import compose
from memguard.errors import DataError

PART = Plan(train=(20,), test=STREET.test[:5])
TINY = Plan(train=(6,), test=(Video(12, (("trespasser", 0),)),))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first test videos of the default plan."""
    root = tmp_path_factory.mktemp("data") / "street"
    generate(root, plan=PART)
    return root


def _grey(path: Path) -> NDArray[np.float32]:
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.float32)


def _masks(root: Path, name: str) -> NDArray[np.bool_]:
    with np.load(root / "masks" / f"{name}.npz") as file:
        masks: NDArray[np.bool_] = file["masks"]
    return masks


def _labels(root: Path) -> dict[str, NDArray[np.bool_]]:
    """Whether each frame of each test video is labelled."""
    names = sorted(path.stem for path in (root / "test").iterdir())
    labels = {name: np.zeros(len(_masks(root, name)), bool) for name in names}
    with (root / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            labels[row["video"]][int(row["start"]) : int(row["end"]) + 1] = True
    return labels


def _files(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_one_seed_always_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("once", "again"):
        generate(tmp_path / name, seed=3, plan=TINY)
    assert _files(tmp_path / "once") == _files(tmp_path / "again")


def test_bytes_do_not_depend_on_the_content_of_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    composed = compose(np.random.default_rng(1), np.random.default_rng(2), 60, ())
    pictures = [composed.render(frame, rng)[0] for frame in range(60)]
    encoded = set()
    for number in range(8):
        litter = [rng.bytes(int(size)) for size in rng.integers(1_000, 400_000, 40)]
        del litter[::2]
        path = tmp_path / f"{number}.mp4"
        film._encode(path, pictures)
        encoded.add(path.read_bytes())
    assert len(encoded) == 1


def test_another_seed_gives_another_street(tmp_path: Path) -> None:
    for seed in (3, 4):
        generate(tmp_path / str(seed), seed=seed, plan=TINY)
    one, other = _files(tmp_path / "3"), _files(tmp_path / "4")
    assert one.keys() == other.keys()
    for name in ("train/01.mp4", "test/01.mp4", "masks/01.npz"):
        assert one[name] != other[name]


def test_videos_and_masks_have_the_planned_frames(street: Path) -> None:
    assert [len(_grey(street / "train" / "01.mp4"))] == list(PART.train)
    for number, video in enumerate(PART.test, 1):
        name = f"{number:02d}"
        pictures, masks = _grey(street / "test" / f"{name}.mp4"), _masks(street, name)
        assert pictures.shape == masks.shape == (video.frames, 160, 240)
        assert masks.dtype == bool


def test_a_frame_is_labelled_if_and_only_if_its_mask_has_a_pixel(street: Path) -> None:
    for name, labelled in _labels(street).items():
        np.testing.assert_array_equal(labelled, _masks(street, name).any(axis=(1, 2)), name)


def test_every_test_video_is_labelled_in_part(street: Path) -> None:
    for labelled in _labels(street).values():
        assert labelled.any()
        assert not labelled.all()


def test_masks_cover_the_moving_figure(street: Path) -> None:
    pictures, masks = _grey(street / "test" / "01.mp4"), _masks(street, "01")
    frame = int(masks.sum(axis=(1, 2)).argmax())
    unlike_the_street = np.abs(pictures[frame] - np.median(pictures, axis=0)) > 20
    assert unlike_the_street[masks[frame]].mean() > 0.5
    assert unlike_the_street[~masks[frame]].mean() < 0.1


def test_each_event_has_one_track_around_its_pixels(street: Path) -> None:
    for number, video in enumerate(PART.test, 1):
        masks = _masks(street, f"{number:02d}")
        boxes = read_tracks(street / "tracks" / f"{number:02d}.txt", *masks.shape).astype(int)
        assert set(boxes[:, 0]) == set(range(len(video.events)))
        around, tight = np.zeros_like(masks), np.zeros_like(masks)
        for _event, frame, left, top, right, bottom in boxes:
            around[frame, top : bottom + 1, left : right + 1] = True
            tight[frame, [top, bottom], left : right + 1] = True
        assert not (masks & ~around).any()
        assert (masks & tight).any(axis=(1, 2)).sum() == masks.any(axis=(1, 2)).sum()


def test_marker_names_the_kinds_of_each_interval(street: Path) -> None:
    events = json.loads((street / "street.json").read_text())["events"]
    for number, video in enumerate(PART.test, 1):
        named = {kind for e in events if e["video"] == f"{number:02d}" for kind in e["kinds"]}
        assert named == {kind for kind, _ in video.events}


def test_is_complete_only_for_the_seed_and_version_it_was_made_with(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_complete(street)
    assert not is_complete(street, seed=1)
    assert not is_complete(tmp_path)
    monkeypatch.setattr(film, "VERSION", film.VERSION + 1)
    assert not is_complete(street)


def test_interrupted_generation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(film, "_write_labels", break_down)
    with pytest.raises(OSError, match="disk full"):
        generate(tmp_path / "street", plan=TINY)
    assert not list(tmp_path.iterdir())


def test_an_older_dataset_is_replaced_but_nothing_else(tmp_path: Path) -> None:
    generate(tmp_path / "street", seed=1, plan=TINY)
    generate(tmp_path / "street", seed=2, plan=TINY)
    assert is_complete(tmp_path / "street", seed=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="not empty"):
        generate(tmp_path / "mine", plan=TINY)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_difference_of_frames_does_not_solve_it(street: Path) -> None:
    scores, labels = [], []
    for name, labelled in _labels(street).items():
        change = np.diff(_grey(street / "test" / f"{name}.mp4"), axis=0)
        energy = np.square(change).mean(axis=(1, 2))
        scores.append((energy - energy.min()) / np.ptp(energy))
        labels.append(labelled[1:])
    score, label = from_numpy(np.concatenate(scores)), from_numpy(np.concatenate(labels))
    assert 0.5 < float(binary_auroc(score, label.long())) < 0.8


def test_without_events_everyone_walks_on_promenade_or_path() -> None:
    place, course = np.random.default_rng(1), np.random.default_rng(2)
    composed = compose(place, course, 200, ())
    people = [figure for figure in composed.normal if not isinstance(figure, Fixture | Tree)]
    assert len(people) > 10
    assert all(isinstance(person, Walker) and person.gait == WALK for person in people)
    for foot in (person.foot(frame) for person in people for frame in range(0, 200, 10)):
        along = PROMENADE[0] <= foot.imag <= PROMENADE[1]
        across = CROSSING[0] <= foot.real <= CROSSING[1]
        out_of_sight = not -3 <= foot.imag <= 197
        assert along or across or out_of_sight
    assert not composed.render(100, course)[1].any()


def test_default_plan_has_all_kinds_of_events() -> None:
    assert all(video.events for video in STREET.test)
    kinds = {kind for video in STREET.test for kind, _ in video.events}
    assert kinds == {"cyclist", "runner", "cart", "lying", "trespasser"}
