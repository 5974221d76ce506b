"""The report, as a browser shows it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from memguard.data.windows import ClipBatch
from memguard.protocols import Scoring, frame_metrics
from memguard.report.evidence import Evidence, Thumbnails
from memguard.report.page import FinishedTest, write_report

PUBLISHED = Scoring("published", weight=0.6, patch=(0.25, 0.25), smoothing=0, causal=False)
PROVENANCE = {"command": "python -m memguard.train", "seed": 0, "versions": {"torch": "2"}}
FRAMES = 20


def a_test(scoring: Scoring = PUBLISHED, *, labels: bool = True, items: int = 3) -> FinishedTest:
    """Two videos in which frame 12 is painted worst; what a test gathers of them."""
    torch.manual_seed(0)
    evidence = Evidence()
    footage = SimpleNamespace(width=64, height=48, fps=10)
    own = [SimpleNamespace(number=0), SimpleNamespace(number=1)]
    trainer: Any = SimpleNamespace(
        datamodule=SimpleNamespace(tested={0: footage, 1: footage}, own_tests=own)
    )
    module: Any = SimpleNamespace()
    evidence.on_test_epoch_start(trainer, module)
    memory = F.normalize(torch.rand(items, 6), dim=1)
    error = torch.full((FRAMES,), 0.05)
    error[12] = 0.4
    for video in range(2):
        pictures = torch.randint(0, 256, (FRAMES, 5, 1, 32, 32), dtype=torch.uint8)
        query = F.normalize(torch.rand(FRAMES, 4, 4, 6), dim=-1)
        target = pictures[:, -1].float() / 127.5 - 1
        batch = ClipBatch(
            pictures,
            video=torch.full((FRAMES,), video),
            frame=torch.arange(FRAMES) + 4,
            label=torch.zeros(FRAMES),
        )
        outputs: Any = {
            "output": target + error.view(-1, 1, 1, 1),
            "target": target,
            "psnr": -20 * (error / 2).log10(),
            "distance": error / 10,
            "patch": (error.square() / 4).view(-1, 1, 1),
        }
        if items:
            outputs |= {"query": query, "similarity": query @ memory.T, "items": memory}
        evidence.on_test_batch_end(trainer, module, outputs, batch, video)
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
    }
    frames = {name: column.double() for name, column in columns.items()}
    frames["score"] = scoring.scores(frames)[scoring.name]
    return FinishedTest(frames, ["first", "<second>"], scoring, evidence, fps={0: 10, 1: None})


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


def test_an_alarm_is_the_frame_that_is_painted_worst(tmp_path: Path) -> None:
    text = report(tmp_path, a_test()).read_text()
    assert re.findall(r"<h3>Video (.*), frame (\d+)", text) == [
        ("first", "16"), ("&lt;second&gt;", "16"),
    ]  # fmt: skip


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


def test_thumbnails_keep_within_their_limit_and_stay_spread_over_the_frames() -> None:
    thumbnails = Thumbnails(limit=20_000)
    picture = np.zeros((1, 32, 32), dtype=np.uint8)
    for frame in range(400):
        if thumbnails.wants(frame):
            thumbnails.add(0, frame, picture, (32, 32))
    kept = thumbnails.of_video(0)
    assert sum(map(len, kept.values())) <= 20_000
    assert list(kept) == list(range(0, 400, thumbnails.step))
    assert len(kept) > 8


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
    assert len(json.loads(hover[1])["0"]["scores"]) == count  # pointing at it tells each frame
