"""The record of the studies is well formed, and its figures are drawn from it alone."""

import csv
import gzip
import importlib
import json
import math
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
README = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
SCORES = sorted((EXPERIMENTS / "scores").rglob("*.csv.gz"))
COLUMNS = ["video", "frame", "psnr", "distance", "regular", "written", "score", "label"]
FIGURES = [
    "reproduction", "protocol", "memory", "shared_range", "recon", "batch_norm", "timeline",
    "video_06", "memory_size", "false_alarms", "patch_sizes", "beyond_ped2",
    "denoiser", "memories",
]  # fmt: skip


def rows() -> list[dict[str, str]]:
    with (EXPERIMENTS / "runs.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def experiments(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the experiments by its name, as their commands import each other."""
    monkeypatch.syspath_prepend(EXPERIMENTS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_every_run_says_where_it_comes_from() -> None:
    runs = rows()
    names = [(row["study"], row["run"]) for row in runs]
    assert len(runs) > 250
    assert len(set(names)) == len(names)
    for name, row in zip(names, runs, strict=True):
        assert None not in row, name
        assert row["command"].startswith("python "), name
        assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", row["commit"]), name
        assert int(row["seed"]) >= 0, name
        assert row["machine"], name
        assert row["minutes"] == "" or 0 < float(row["minutes"]) < 600, name
        assert not re.search(r"(?:=|\s)/", row["command"]), name


def test_every_metric_is_in_range() -> None:
    for row in rows():
        metrics = {key: float(value) for key, value in row.items() if "/" in key and value}
        assert metrics, row["run"]
        for key, value in metrics.items():
            if re.search(r"auroc|test/(ap|eer)|explained|decided|share", key):
                assert 0 <= value <= 1, (row["run"], key)
            elif "psnr" in key:
                assert 10 < value < 60, (row["run"], key)
        counts = [metrics.get(f"test/frames{of}", 0) for of in ("_written", "_anomalous", "")]
        assert max(counts[:2]) <= counts[2], row["run"]


@pytest.mark.parametrize("path", SCORES, ids=lambda path: path.name)
def test_scores_have_the_columns_of_a_run_and_a_row_that_names_them(path: Path) -> None:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == COLUMNS
        frames = list(reader)
    assert {row["label"] for row in frames} == {"0", "1"}
    name = (path.parent.name, path.name.removesuffix(".csv.gz"))
    (run,) = [row for row in rows() if (row["study"], row["run"]) == name]
    assert len(frames) == float(run["test/frames"] or 1962)


def test_scores_are_small() -> None:
    assert sum(path.stat().st_size for path in SCORES) < 5 * 2**20


def test_recorded_scores_give_the_recorded_result(experiments: Any) -> None:
    recorded = experiments("recorded")
    from torch import from_numpy
    from torchmetrics.functional.classification import binary_auroc

    metrics = recorded.runs("weights")
    for name in ("pred_full_size_seed0", "pred_small_seed0"):
        frames = recorded.scores(f"weights/{name}")
        area = binary_auroc(from_numpy(frames["score"]), from_numpy(frames["label"]).long())
        assert float(area) == pytest.approx(metrics[name]["test/auroc"], abs=1e-6)


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_drawn_from_committed_data(
    name: str, experiments: Any, tmp_path: Path
) -> None:
    figures = experiments("figures")
    figures.main([name, "--folder", str(tmp_path)])
    drawn = [path.name for path in tmp_path.iterdir()]
    assert drawn == [f"{name}.png"]
    with Image.open(tmp_path / drawn[0]) as picture:
        assert picture.width == 1152
    assert (EXPERIMENTS / "figures" / drawn[0]).stat().st_size < 200_000


def test_all_figures_are_known_here(experiments: Any) -> None:
    assert list(experiments("figures").FIGURES) == FIGURES


def test_an_unknown_figure_is_rejected_by_name(
    experiments: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        experiments("figures").main(["memroy"])
    assert "no figure is named 'memroy'; there are reproduction, " in capsys.readouterr().err


def test_the_page_is_short_and_each_study_has_its_four_parts() -> None:
    assert len(README.encode()) <= 10_240
    _, *sections = re.split(r"^## ", README, flags=re.MULTILINE)
    studies = sections[:-1]
    assert len(studies) == 10
    for study in studies:
        title = study.splitlines()[0]
        assert len(f"## {study}".encode()) <= 1024, title
        assert re.search(r"^\*\*[^*]+\?\*\*", study, re.MULTILINE), title
        assert len(re.findall(r"!\[[^]]+\]\(figures/\w+\.png\)", study)) == 1, title
        command = r"```bash\n(?:[^\n]+\\\n)?[^\n]+\n```"  # continued on a second line, perhaps
        assert len(re.findall(command, study)) == 1, title
    assert sections[-1].startswith("What made no difference")


def test_its_links_lead_somewhere_and_its_figures_are_drawn_by_the_command() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (EXPERIMENTS / link).exists(), link
    drawn = {Path(link).stem for link in links if link.endswith(".png")}
    assert {name for name in drawn if not name.startswith("demo_")} <= set(FIGURES)


def test_the_studies_it_names_are_in_the_table_of_runs() -> None:
    table = README.split("| change | result | study |\n|---|---|---|\n")[1].split("\n\n")[0]
    named = {line.rsplit("|", 2)[1].strip() for line in table.splitlines()}
    assert named - {"–"} <= {row["study"] for row in rows()}


def finished_run(folder: Path, auroc: float) -> Path:
    folder.mkdir()
    provenance = {
        "command": "python -m memguard.evaluate dataset=ped2 dataset.root=/data hydra.run.dir=/r",
        "commit": "a" * 40, "seed": 3, "machine": "a machine", "minutes": 1.5, "versions": {},
    }  # fmt: skip
    metrics = {"test/auroc": auroc, "test/other": 0.25}
    (folder / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (folder / "scores.csv").write_bytes(b"video,frame\r\n01,4\r\n")
    return folder


def test_a_run_is_recorded_with_its_scores_and_replaces_only_itself(
    experiments: Any, tmp_path: Path
) -> None:
    record = experiments("record").record
    (tmp_path / "runs.csv").write_text(
        "study,run,command,commit,seed,machine,minutes,test/auroc,test/eer\n"
        "old,b_seed0,python,c,0,m,2,0.5,0.1\n",
        encoding="utf-8",
    )
    record(finished_run(tmp_path / "one", 0.75), "new", "b_seed0", tmp_path)
    record(finished_run(tmp_path / "two", 0.875), "new", "b_seed0", tmp_path)
    assert (tmp_path / "runs.csv").read_text(encoding="utf-8") == (
        "study,run,command,commit,seed,machine,minutes,test/auroc,test/eer,test/other\n"
        "old,b_seed0,python,c,0,m,2,0.5,0.1,\n"
        f"new,b_seed0,python -m memguard.evaluate dataset=ped2,{'a' * 40},3,a machine,1.5,"
        "0.875,,0.25\n"
    )
    scores = tmp_path / "scores" / "new" / "b_seed0.csv.gz"
    assert gzip.decompress(scores.read_bytes()) == b"video,frame\n01,4\n"


def test_a_run_without_a_test_is_rejected_and_changes_nothing(
    experiments: Any, tmp_path: Path
) -> None:
    (tmp_path / "runs.csv").write_text("study,run\n", encoding="utf-8")
    run = finished_run(tmp_path / "one", 0.75)
    (run / "metrics.json").unlink()
    with pytest.raises(SystemExit, match=r"one.metrics\.json is missing: record a run"):
        experiments("record").record(run, "new", "b_seed0", tmp_path)
    assert (tmp_path / "runs.csv").read_text(encoding="utf-8") == "study,run\n"
    assert not (tmp_path / "scores").exists()


def normal_video(experiments: Any, errors: dict[int, float], labels: str = "") -> Any:
    """300 frames at 5 a second, with some errors above 0 and the labels of the first frames."""
    series, labelled = np.zeros(300), np.zeros(300, np.uint8)
    for frame, error in errors.items():
        series[frame] = error
    labelled[: len(labels)] = list(map(int, labels))
    return experiments("false_alarms").Scored(series, labelled, 5.0, 0.0)


def test_false_alarms_are_counted_as_events_of_each_video(experiments: Any) -> None:
    count = experiments("false_alarms").count
    one = normal_video(experiments, {10: 3.0, 35: 2.0, 60: 3.0, 86: 3.0, 299: 3.0})
    other = normal_video(experiments, {0: 3.0})
    assert count([one, other], 1.0) == 4  # 25 frames apart are one event, 26 are two
    assert count([one, other], 2.0) == 5  # a level is exceeded, not reached
    assert count([one], 3.0) == 0
    assert count([one._replace(errors=np.ones(3002))], 0.5) == 2  # longer than ten minutes


def test_an_event_is_found_by_any_of_its_frames_and_by_none_outside(experiments: Any) -> None:
    events_found = experiments("false_alarms").events_found
    video = normal_video(experiments, {0: 9.0, 2: 5.0, 3: 4.0, 5: 1.0, 8: 3.0}, "0110101010")
    # Events are frames 1 to 2, 4, 6 and 8; frame 5 is normal.
    assert events_found(video, 2.0) == (2, 4)
    assert events_found(video, 4.0) == (1, 4)


def test_a_promise_is_compared_at_the_level_and_at_the_ends_of_its_interval(
    experiments: Any,
) -> None:
    false_alarms = experiments("false_alarms")
    heights = np.random.default_rng(0).exponential(size=100)
    normal = normal_video(experiments, {})
    normal = normal._replace(errors=np.zeros(4000), labels=np.zeros(4000, np.uint8))
    normal.errors[::40] = heights
    alarm = false_alarms.calibrated([normal])
    row = false_alarms.metrics(alarm, [normal], [], per_hour=90)
    assert row["alarms/hours"] == pytest.approx(4000 / 5 / 3600)
    assert row["alarms/level_low"] < row["alarms/level"] < row["alarms/level_high"]
    # 20 alarms are promised in these 800 seconds, and this very video was calibrated on.
    assert row["alarms/seen"] == pytest.approx(20, abs=4)
    assert row["alarms/seen_at_low"] > row["alarms/seen"] > row["alarms/seen_at_high"]
    assert "alarms/events" not in row


def test_a_thing_is_cut_out_laid_down_and_pasted_by_its_mask(experiments: Any) -> None:
    picture = np.arange(1, 145, dtype=np.uint8).reshape(3, 6, 8)
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2] = mask[3, 3] = True  # upright, with a foot to the right
    thing = experiments("standing").cut_out(picture, mask, turned=True)
    pasted = np.zeros((3, 6, 12), np.uint8)
    thing.paste(pasted, 0.625)
    assert np.argwhere(pasted[0]).tolist() == [[2, 8], [3, 6], [3, 7], [3, 8]]
    assert pasted[:, 3, 6].tolist() == picture[:, 1, 2].tolist()
    assert pasted[:, 2, 8].tolist() == picture[:, 3, 3].tolist()


def test_the_interval_of_a_count_is_exact(experiments: Any) -> None:
    poisson_interval = experiments("figures_of_alarms").poisson_interval
    assert poisson_interval(0) == pytest.approx((0, -math.log(0.05)))
    low, high = poisson_interval(2)
    # At the ends, 2 and more, or 2 and fewer, have a probability of 5 %.
    assert 1 - math.exp(-low) * (1 + low) == pytest.approx(0.05)
    assert math.exp(-high) * (1 + high + high**2 / 2) == pytest.approx(0.05)


def test_noise_belongs_to_a_frame_and_its_seeds(experiments: Any) -> None:
    study = experiments("denoiser")

    class Grey:
        """Twenty frames, from dark to bright."""

        def __len__(self) -> int:
            return 20

        def frames(self, indices: range) -> torch.Tensor:
            levels = torch.tensor([12 * number for number in indices], dtype=torch.uint8)
            return levels.view(-1, 1, 1, 1).expand(-1, 1, 30, 40)

    def video(*seeds: int) -> Any:
        return study.NoisyVideo(Grey(), study.night, seeds)

    whole = video(1, 0).frames(range(20))
    assert torch.equal(video(1, 0).frames(range(7, 9)), whole[7:9])
    assert not torch.equal(whole[7] - 84, whole[8] - 96)
    for other in ((2, 0), (1, 1)):
        assert not torch.equal(video(*other).frames(range(7, 8)), whole[7:8])
    # Variances add up: 4 grey levels per photon, and 10 of the sensor.
    deviation = whole[10].float().std()
    assert float(deviation) == pytest.approx((4 * 120 + 10**2) ** 0.5, rel=0.1)


def test_the_figure_of_the_denoiser_is_drawn_from_its_rows(
    experiments: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments("recorded"), "HERE", tmp_path)
    drawing = experiments("figures_of_denoising")
    rows = ["study,run,denoise/psnr,test/auroc,test/auroc_psnr,test/auroc_patch"]
    for place, name in enumerate(drawing.METHODS):
        rows += [f"denoiser,frames_{name}_{s},{s + place},,," for s in drawing.STRENGTHS]
    for noise, name in [(n, m) for n in drawing.NOISES for m in ("none", "adnet")]:
        seeds = (0,) if noise == "clean" else (0, 1, 2)
        rows += [f"denoiser,ped2_{noise}_{name}_seed{seed},,0.9{seed},0.5,0.6" for seed in seeds]
    (tmp_path / "runs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    levels, published, *_others = drawing.denoiser().axes
    assert [list(line.get_ydata()) for line in levels.lines] == [
        [15, 25, 50], [16, 26, 51], [17, 27, 52],
    ]  # fmt: skip
    points = [list(line.get_xdata()) for line in published.lines]
    assert points == 2 * [[90], [90, 91, 92], [90, 91, 92], [90, 91, 92]]
