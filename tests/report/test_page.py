"""The report, as a browser shows it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, roc_auc_score

from memguard.data.clips.windows import ClipBatch
from memguard.report.page import write_report
from memguard.report.recorder import TestRecorder
from memguard.report.tested import FinishedTest
from memguard.scoring.protocols import ScoreConfig, frame_metrics

# The next patch begins 2 pixels further.
PUBLISHED = ScoreConfig("published", weight=0.6, patch=(0.25, 0.25), smoothing=0, causal=False)
PROVENANCE = {"command": "python -m memguard.train", "seed": 0, "versions": {"torch": "2"}}
FRAMES = 20
# Top and left of the worst patch of each video's frame 16, which has 8 by 8 of its 32 by 32 pixels.
WORST = ((4, 18), (22, 2))


def a_test(
    scoring: ScoreConfig = PUBLISHED,
    *,
    labels: bool = True,
    items: int = 3,
    length: int = 5,
    anomalous: torch.Tensor | None = None,
) -> FinishedTest:
    """A test of two videos, in each of which frame 16 has the largest error.

    Args:
        scoring: How scores are made.
        labels: Whether there are any.
        items: Of the memory.
        length: Frames per window.
        anomalous: (40,), labels of their own.
    """
    torch.manual_seed(0)
    recorder = TestRecorder()
    footage = SimpleNamespace(width=64, height=48, fps=10)
    own = [SimpleNamespace(number=0), SimpleNamespace(number=1)]
    trainer: Any = SimpleNamespace(
        datamodule=SimpleNamespace(tested={0: footage, 1: footage}, own_tests=own)
    )
    module: Any = SimpleNamespace()
    recorder.on_test_epoch_start(trainer, module)
    memory = F.normalize(torch.rand(items, 6), dim=1)
    error = torch.full((FRAMES,), 0.05)
    error[12] = 0.4
    worst = torch.zeros(FRAMES, 1, 32, 32)
    for video, (top, left) in enumerate(WORST):
        # The worst of frame 16, where the whole frame is brighter than it should be by 0.4.
        worst[12] = 0
        worst[12, :, top : top + 8, left : left + 8] = 0.1
        _show(recorder, trainer, video, error, worst, memory, length)
    place = torch.arange(2 * FRAMES) % FRAMES
    columns = {
        "video": torch.arange(2 * FRAMES) // FRAMES,
        "frame": place + 4,
        "psnr": -20 * (error.repeat(2) / 2).log10(),
        "distance": error.repeat(2) / 10,
        "regular": error.repeat(2),
        "patch": error.repeat(2).square() / 4,
        "written": place < 5,
        "label": (place >= 10).long() if labels else torch.full((2 * FRAMES,), -1),
        "patch_row": torch.tensor([top // 2 for top, _ in WORST]).repeat_interleave(FRAMES),
        "patch_column": torch.tensor([left // 2 for _, left in WORST]).repeat_interleave(FRAMES),
    }
    if anomalous is not None:
        columns["label"] = anomalous
    frames = {name: column.double() for name, column in columns.items()}
    frames["score"] = scoring.scores(frames)[scoring.name]
    names = ["first", "<second>"]
    return FinishedTest(
        frames, names, scoring, (32, 32), recorder, torch.zeros(0, 7), {0: 10, 1: None}
    )


def _show(
    recorder: TestRecorder,
    trainer: Any,
    video: int,
    error: torch.Tensor,
    worst: torch.Tensor,
    memory: torch.Tensor,
    length: int,
) -> None:
    pictures = torch.randint(0, 256, (FRAMES, length, 1, 32, 32), dtype=torch.uint8)
    query = F.normalize(torch.rand(FRAMES, 4, 4, 6), dim=-1)
    target = pictures[:, -1].float() / 127.5 - 1
    batch = ClipBatch(
        pictures,
        video=torch.full((FRAMES,), video),
        frame=torch.arange(FRAMES) + 4,
        label=torch.zeros(FRAMES),
    )
    outputs: Any = {
        "output": target + error.view(-1, 1, 1, 1) + worst,
        "target": target,
        "psnr": -20 * (error / 2).log10(),
        "distance": error / 10,
        "patch": (error.square() / 4).view(-1, 1, 1, 1),
    }
    if len(memory):
        outputs |= {"query": query, "similarity": query @ memory.T, "items": memory}
    recorder.on_test_batch_end(trainer, SimpleNamespace(), outputs, batch, video)  # type: ignore[arg-type]


def report(folder: Path, test: FinishedTest | None) -> Path:
    path = folder / "report.html"
    metrics = frame_metrics(test.frames, test.scoring) if test else {}
    write_report(
        path,
        title="Test on a scene",
        metrics=metrics,
        config="seed: 0",
        provenance=PROVENANCE,
        tested=test,
    )
    return path


@pytest.mark.parametrize("width", [1280, 390])
def test_it_shows_without_network_or_complaint_at_any_width(
    page: Any, width: int, tmp_path: Path
) -> None:
    path = report(tmp_path, a_test())
    page.open(path, width)
    assert page.complaints == []
    assert set(page.requests) == {path.as_uri()}
    assert page.run("document.documentElement.scrollWidth") <= width  # nothing sticks out
    sizes = page.run(
        "[...document.querySelectorAll('.plot svg, .line, .square svg, .plane svg')]"
        ".map(e => e.getBoundingClientRect()).map(box => Math.min(box.width, box.height))"
    )
    assert len(sizes) == 1 + 4 + 2 + 1  # legend, charts, curves, plane
    assert min(sizes) > 5
    broken = "[...document.images].filter(i => !i.complete || (i.src && !i.naturalWidth)).length"
    assert page.run(broken) == 0
    assert page.run("[...document.querySelectorAll('main img')].every(i => i.hasAttribute('alt'))")


def test_pointing_at_a_chart_shows_that_frame(page: Any, tmp_path: Path) -> None:
    page.open(report(tmp_path, a_test()), 1280)
    box = page.run("document.querySelector('.plot svg').getBoundingClientRect().toJSON()")
    page.point_at(box["x"] + box["width"] * (12.5 / FRAMES), box["y"] + 20)
    assert page.run("document.querySelector('#frame').innerText") == (
        "frame 16 · 1.6 s · score 1 · anomalous"
    )
    assert page.run("document.querySelector('#frame img').naturalWidth") == 144
    page.run("document.querySelector('.chart').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    assert "frame 17" in page.run("document.querySelector('#frame').innerText")
    page.point_at(2, 2)
    assert page.run("document.querySelector('#frame').hidden") is True


def test_every_protocol_is_listed_the_published_one_first(tmp_path: Path) -> None:
    text = report(tmp_path, a_test(replace(PUBLISHED, name="patch"))).read_text()
    table = text[text.index('id="protocols"') : text.index('id="alarms"')]
    names = re.findall(r'<tr(?: class="own")?><th scope="row">(\w+)</th>', table)
    assert names == [
        "published", "shared_range", "unnormalised", "smoothed", "psnr", "distance", "patch",
        "patch_normalised", "patch_psnr",
    ]  # fmt: skip
    assert '<tr class="own"><th scope="row">patch</th>' in table


def test_an_alarm_is_the_frame_with_the_largest_error(tmp_path: Path) -> None:
    text = report(tmp_path, a_test()).read_text()
    assert re.findall(r"<h3>Video (.*), frame (\d+)", text) == [
        ("first", "16"), ("&lt;second&gt;", "16"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at_peaks", "elsewhere", "shown"),
    [
        ((0, 1), (1, 0), ["normal", "anomalous"]),
        ((1, -1), (0, 1), ["anomalous", "not labelled"]),
    ],
)
def test_the_label_beside_a_peak_is_that_of_its_own_frame(
    at_peaks: tuple[int, int], elsewhere: tuple[int, int], shown: list[str], tmp_path: Path
) -> None:
    test = a_test(items=0)
    video, peak = test.frames["video"].long(), test.frames["frame"] == 16
    labels = torch.where(peak, torch.tensor(at_peaks)[video], torch.tensor(elsewhere)[video])
    frames = test.frames | {"label": labels.double()}
    text = report(tmp_path, replace(test, frames=frames)).read_text()
    of_alarms = re.findall(r"<h3>Video .*?, frame 16.*?dB, ([a-z ]+)\.", text, re.DOTALL)
    table = text[text.index('id="videos"') :]
    of_videos = re.findall(r"<tr><th scope=\"row\">.*<td>([a-z ]+)</td>", table)
    assert of_alarms == of_videos == shown


@pytest.mark.parametrize(
    ("has", "missing"),
    [
        ({"items": 0}, {"memory"}),
        ({"labels": False}, {"protocols"}),
        (None, {"scores", "protocols", "alarms", "memory", "videos"}),
    ],
    ids=["no memory", "no labels", "no test"],
)
def test_what_a_run_has_not_got_is_left_out(
    page: Any, has: dict[str, Any] | None, missing: set[str], tmp_path: Path
) -> None:
    page.open(report(tmp_path, None if has is None else a_test(**has)), 1280)
    everything = {"scores", "protocols", "alarms", "memory", "videos", "made"}
    shown = set(page.run("[...document.querySelectorAll('section')].map(s => s.id)"))
    assert shown == everything - missing
    links = page.run("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert set(links) == shown
    assert page.complaints == []


def test_a_long_video_makes_no_large_page(tmp_path: Path) -> None:
    test = a_test()
    short = report(tmp_path, test).stat().st_size
    frames = {name: column.repeat_interleave(500) for name, column in test.frames.items()}
    count = FRAMES * 500
    frames["frame"] = torch.arange(2 * count) % count + 4.0
    text = report(tmp_path, replace(test, frames=frames)).read_text()
    assert len(text) < short + 20 * 2 * count
    hover = re.search(r'type="application/json">(.*?)</script>', text, re.DOTALL)
    assert hover
    assert len(json.loads(hover[1])["0"]["scores"]) == count  # the pointer finds each frame


BOXES = """[...document.querySelectorAll('.alarm')].map(alarm =>
    [...alarm.querySelectorAll('figure')].map(figure => {
        const rect = figure.querySelector('rect')?.getBoundingClientRect();
        const at = figure.querySelector('img').getBoundingClientRect();
        return rect && [rect.x - at.x, rect.right - at.x, rect.y - at.y, rect.bottom - at.y]
            .map((side, i) => side / (i < 2 ? at.width : at.height));
    }))"""


@pytest.mark.parametrize("name", ["published", "patch"])
def test_the_box_of_an_alarm_lies_on_the_patch_with_the_largest_error(
    page: Any, name: str, tmp_path: Path
) -> None:
    page.open(report(tmp_path, a_test(replace(PUBLISHED, name=name))), 1280)
    alarms = page.run(BOXES)
    assert len(alarms) == len(WORST)
    for boxes, (top, left) in zip(alarms, WORST, strict=True):
        expected = [left / 32, (left + 8) / 32, top / 32, (top + 8) / 32]
        for box in boxes[:3]:  # target, prediction, error
            assert box == pytest.approx(expected, abs=0.03)
    own = [page.run(f"document.querySelectorAll('.alarm .boxed .{kind} rect').length")
           for kind in ("worst", "far")]  # fmt: skip
    assert own == [2 * 3 * 2, 2 * 1 * 2]  # each is drawn twice, to be seen on any ground


@pytest.mark.parametrize(
    ("test", "captions", "says"),
    [
        ({}, ["target: frame 16", "prediction", "absolute error"],
         "the distance in the score is the mean over the whole frame"),
        ({"length": 1}, ["target: frame 16, the input as well", "reconstruction",
         "absolute error"], "largest error in the reconstruction."),
        ({"scoring": replace(PUBLISHED, name="patch")}, ["target: frame 16", "prediction",
         "absolute error"], "this score has no distance term"),
    ],
    ids=["pred", "recon", "patch"],
)  # fmt: skip
def test_pictures_of_an_alarm_are_named_as_what_they_are(
    test: dict[str, Any], captions: list[str], says: str, tmp_path: Path
) -> None:
    text = report(tmp_path, a_test(**test)).read_text()
    section = text[text.index('id="alarms"') : text.index('id="memory"')]
    found = re.findall("<figcaption>(.*?)</figcaption>", section)
    assert found[:3] == captions
    assert "region farthest from the memory" in found[3]
    assert says in section


def test_each_curve_has_a_colour_of_its_own_and_a_legend_with_its_area(
    page: Any, tmp_path: Path
) -> None:
    test = a_test(replace(PUBLISHED, name="shared_range"))
    page.open(report(tmp_path, test), 1280)
    known = test.frames["label"].numpy()
    for kind, count in (("roc", roc_auc_score), ("pr", average_precision_score)):
        strokes = f"[...document.querySelectorAll('.{kind} SELECTOR')].map(e =>"
        strokes += " getComputedStyle(e).stroke + getComputedStyle(e).strokeDasharray)"
        lines = page.run(strokes.replace("SELECTOR", "polyline.curve"))
        assert len({line.split(")")[0] for line in lines}) == 4
        assert page.run(strokes.replace("SELECTOR", ".legend .curve")) == lines
        legend = page.run(
            f"[...document.querySelectorAll('.{kind} .legend li')].map(e => e.innerText)"
        )
        area = "AUROC" if kind == "roc" else "average precision"
        scores = test.scoring.scores(test.frames)
        assert [entry.strip() for entry in legend] == [
            *(f"{name}, {area} {100 * count(known, scores[name].numpy()):.1f} %"
              for name in ("shared_range", "published", "unnormalised", "patch")),
            "flagged at random",
        ]  # fmt: skip


def test_a_phone_shows_the_area_of_each_video_and_protocol(page: Any, tmp_path: Path) -> None:
    test = replace(a_test(), names=["Train_01_0014", "Test_12_0175_b"])
    page.open(report(tmp_path, test), 390)
    right = page.run(
        "[...document.querySelectorAll('.wide table')].slice(0, 2).map(table => {"
        " const place = [...table.tHead.rows[0].cells].findIndex(c => /AUROC/.test(c.innerText));"
        " return [...table.rows].map(row => row.cells[place].getBoundingClientRect().right) })"
    )
    protocols, videos = right
    assert (len(protocols), len(videos)) == (1 + 9, 1 + 2)
    assert max(protocols + videos) <= 390
    assert min(protocols + videos) > 100  # and they are shown at all


def test_what_is_said_of_a_peak_is_of_its_frame_and_not_of_those_beside_it(
    page: Any, tmp_path: Path
) -> None:
    anomalous = torch.zeros(2 * FRAMES).long()
    anomalous[12] = 1  # frame 16 of the first video, and nothing else
    anomalous[FRAMES:] = 1
    anomalous[FRAMES + 12] = 0  # all of the second but frame 16
    page.open(report(tmp_path, a_test(anomalous=anomalous)), 1280)
    alarms = page.run("[...document.querySelectorAll('.alarm > p')].map(p => p.innerText)")
    assert ["anomalous" in alarm for alarm in alarms] == [True, False]
    rows = page.run(
        "[...document.querySelectorAll('.videos tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText))"
    )
    # Video, AUROC, peak score, at frame, the peak is, frames, anomalous, written
    assert rows == [
        ["first", "100.0", "1.00", "16", "anomalous", "20", "1", "5"],
        ["<second>", "0.0", "1.00", "16", "normal", "20", "19", "5"],
    ]
    shown = []
    page.run("document.querySelector('.chart').focus()")
    for _ in range(6):  # from the middle on, which is frame 14
        page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
        shown.append(page.run("document.querySelector('#frame p').innerText").split(" · ")[::3])
    assert shown == [
        [f"frame {number}", "anomalous" if number == 16 else "normal"] for number in range(15, 21)
    ]


@pytest.mark.parametrize("length", [1, 5])
def test_an_items_patch_names_the_frame_that_it_is_cut_from(length: int, tmp_path: Path) -> None:
    test = a_test(length=length)
    assert test.recorder.memory
    text = report(tmp_path, test).read_text()
    for item in range(3):
        named = re.findall(r'title="video \S+, frame (\d+), cosine', _of_item(text, item))
        scored = [patch.frame for patch in test.recorder.memory.gallery(item)]
        # The encoder of a prediction sees the frames up to the one before the scored frame.
        assert list(map(int, named)) == [frame - (length > 1) for frame in scored]


def _of_item(text: str, item: int) -> str:
    start = text.index(f'id="item-{item}"')
    return text[start : text.index("</li>", start)]


def test_small_scores_are_written_with_the_digits_that_count(tmp_path: Path) -> None:
    test = a_test(replace(PUBLISHED, name="patch"))
    text = report(tmp_path, test).read_text()
    assert "<p>Score 0.0400, PSNR" in text  # (0.4 / 2)²
    assert '<td class="number">0.0400</td>' in text
    assert '"scores": [0.000625,' in text


def test_an_alarm_is_the_peak_that_no_part_of_the_score_alone_would_name(tmp_path: Path) -> None:
    test = a_test()
    psnr, distance = torch.full((FRAMES,), 30.0), torch.full((FRAMES,), 0.1)
    psnr[3], distance[9] = 20, 0.3
    psnr[6], distance[6] = 21, 0.28
    recorder = TestRecorder()
    recorder.sizes = test.recorder.sizes
    frames = torch.zeros(FRAMES, 1, 8, 8)
    for number in (0, 1):
        for part in (range(4), range(4, 8), range(8, FRAMES)):
            rows = list(part)
            outputs: Any = {
                "psnr": psnr[rows], "distance": distance[rows],
                "patch": torch.zeros(len(rows), 1, 1, 1),
                "target": frames[rows], "output": frames[rows],
            }  # fmt: skip
            batch = ClipBatch(
                frames[rows, None], torch.full((len(rows),), number), torch.tensor(rows) + 4,
                torch.zeros(len(rows)),
            )  # fmt: skip
            recorder._keep_candidates(outputs, batch)
    columns = test.frames | {
        "psnr": psnr.repeat(2).double(),
        "distance": distance.repeat(2).double(),
    }
    columns["score"] = PUBLISHED.scores(columns)["published"]
    text = report(tmp_path, replace(test, frames=columns, recorder=recorder)).read_text()
    assert re.findall(r"<h3>Video .*, frame (\d+)", text) == ["10", "10"]
