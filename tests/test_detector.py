"""The detector: its test against a plain loop, and its step without waiting for the device."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils.data import DataLoader

from memguard import scoring
from memguard.data.windows import ClipBatch
from memguard.detector import Detector
from memguard.lookahead import Lookahead
from memguard.model.losses import nearest_items
from memguard.model.memory import read, write
from tests.conftest import small_detector

NAMES = ("psnr", "distance", "regular", "written")


def videos(*lengths: int) -> list[Tensor]:
    """Windows of videos that grow brighter, so that frames are painted well and badly by turns."""
    torch.manual_seed(1)
    return [
        torch.randint(0, 256, (length, 5, 1, 16, 16), dtype=torch.uint8)
        .mul(torch.rand(length, 1, 1, 1, 1))
        .byte()
        for length in lengths
    ]


@torch.no_grad()
def plain_loop(under_test: Detector, clips: list[Tensor]) -> Iterator[list[tuple[float, ...]]]:
    """The test as the paper has it: one frame after the other, everything by itself."""
    trained = items = under_test.memory.items
    for video in clips:
        items = trained if under_test.guard.scope == "video" else items
        rows = []
        for clip in video.split(1):
            frames, target = under_test.split(clip)
            features, skips = under_test.autoencoder.encoder(frames)
            recalled = read(features, items)
            output = under_test.autoencoder.decoder(recalled.fused, skips)
            regular = scoring.regular_score(output, target)
            nearest = nearest_items(recalled.query, items, 1)[:, :, 0]
            distance = scoring.feature_distance(recalled.query, nearest)
            written = regular < under_test.guard.threshold
            if written:
                items = write(recalled.query[0], items)
            found = (scoring.psnr(output, target), distance, regular, written)
            rows.append(tuple(float(value) for value in found))
        yield rows


def between_regular(clips: list[Tensor]) -> float:
    """A threshold that half of the frames are below, and none is at."""
    rows = [row for video in plain_loop(small_detector(), clips) for row in video]
    ordered = torch.tensor(rows)[:, 2].sort().values
    return float(ordered[len(rows) // 2 - 1 : len(rows) // 2 + 1].mean())


def test_what_was_normal_for_other_weights_is_not_taken_over() -> None:
    learned, begun = small_detector(), small_detector()
    with torch.no_grad():
        for value in (*learned.autoencoder.parameters(), learned.memory.items):
            value.add_(1)
    learned.guard.calibrate(torch.rand(20))
    learned.alarm.calibrate([torch.rand(20)])
    begun.begin_from(learned.state_dict())
    differing = {
        name
        for name, value in begun.state_dict().items()
        if not torch.equal(value, learned.state_dict()[name])
    }
    assert differing == {"guard.normal_scores", *(f"alarm.{n}" for n in begun.alarm.state_dict())}


@pytest.mark.parametrize("scope", ["dataset", "video"])
@pytest.mark.parametrize("ahead", [1, 3, 16])
@torch.no_grad()
def test_scores_are_those_of_a_plain_loop_however_many_are_painted_at_once(
    scope: Literal["dataset", "video"], ahead: int
) -> None:
    clips = videos(13, 6, 9)
    under_test = small_detector(scope, between_regular(clips))
    expected = list(plain_loop(under_test, clips))
    under_test.begin_test()
    under_test.lookahead = Lookahead(ahead)
    for number, video in enumerate(clips):
        batches = [
            under_test.score_frames(c, torch.full((len(c),), number)) for c in video.split(7)
        ]
        found = [torch.cat([batch[name].double() for batch in batches]) for name in NAMES]
        truth = torch.tensor(expected[number], dtype=torch.float64)
        assert 0 < found[3].sum() < len(found[3])
        assert torch.equal(found[3], truth[:, 3])
        torch.testing.assert_close(torch.stack(found, dim=1), truth, rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_videos_side_by_side_are_scored_as_if_one_by_one() -> None:
    clips = videos(8, 8, 8)
    under_test = small_detector("video", between_regular(clips))
    expected = torch.tensor(list(plain_loop(under_test, clips)), dtype=torch.float64)
    under_test.begin_test()
    under_test.lookahead = Lookahead(6)
    number = torch.arange(3)
    for first in range(0, 8, 4):
        batch = torch.stack([video[first : first + 4] for video in clips]).flatten(0, 1)
        scored = under_test.score_frames(batch, number.repeat_interleave(4))
        found = torch.stack([scored[name].double().unflatten(0, (3, 4)) for name in NAMES], dim=2)
        torch.testing.assert_close(found, expected[:, first : first + 4], rtol=1e-6, atol=1e-6)


def test_a_training_step_asks_nothing_of_the_device_but_to_go_on() -> None:
    under_test = small_detector().train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        # A fake tensor has no values: whatever waits for one fails.
        with pytest.raises(DataDependentOutputException):
            float(under_test.memory.items.sum())
        items = under_test.memory.items
        step = under_test.learn(torch.zeros(2, 5, 1, 16, 16, dtype=torch.uint8))
        step.loss.backward()
        assert under_test.memory.items is not items
        assert {"train/loss", "train/psnr", "memory/used"} <= step.found.keys()


def test_a_compiled_step_is_one_graph_and_finds_what_an_eager_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def traced(function: Any, *, fullgraph: bool, mode: str) -> Any:
        """As torch.compile, without a compiler for the machine's own code, which takes a minute."""
        return compile_(function, fullgraph=fullgraph, backend="aot_eager")

    compile_ = torch.compile
    monkeypatch.setattr("torch.compile", traced)
    clips = videos(4)[0]
    eager, compiled = small_detector().train(), small_detector(compiled=True).train()
    for _ in range(2):  # the second meets the items that the first has written
        expected, found = eager.learn(clips), compiled.learn(clips)
        expected.loss.backward()
        found.loss.backward()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(compiled.memory.items, eager.memory.items)
    for weight, same in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, same.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("threshold", "written", "sentence"),
    [
        (0.01, 0, r"no frame .*: γ = 0\.01 does not part .* go from 0\.02 to 0\.5: "),
        (0.9, 2, r"all 2 frames .*: γ = 0\.9 does not part .* or to auto with another"),
        ("auto", 0, r"no frame .* in a validation, and there was none\. .* to a number between\."),
    ],
)
def test_a_guard_that_lets_all_or_nothing_pass_is_told_of(
    threshold: float | Literal["auto"], written: int, sentence: str
) -> None:
    under_test = small_detector(threshold=threshold)
    under_test.frames = {"regular": torch.tensor([0.02, 0.5])}
    with pytest.warns(UserWarning, match=sentence):
        under_test._warn_of_idle_guard(written, total=2)


class Loss(Logger):
    """Notes the losses that a training logs, by step."""

    name, version = "loss", 0

    def __init__(self) -> None:
        super().__init__()
        self.of_step: dict[int, float] = {}

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if "train/loss" in metrics and step is not None:
            self.of_step[step] = metrics["train/loss"]


class Losses(pl.Callback):
    """Notes the loss of every step."""

    def __init__(self) -> None:
        self.of_step: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        self.of_step.append(float(outputs["loss"]))


def test_what_is_logged_are_the_numbers_of_the_step_itself() -> None:
    number = torch.zeros(4, dtype=torch.long)
    batches = [ClipBatch(video, number, number, number) for video in videos(4, 4, 4, 4, 4)]
    loss, losses = Loss(), Losses()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, log_every_n_steps=2, logger=loss, callbacks=[losses],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(small_detector().train(), DataLoader(batches, batch_size=None))
    assert loss.of_step == {1: losses.of_step[1], 3: losses.of_step[3]}
    # The line that each epoch ends with tells of its last step.
    assert trainer.callback_metrics["train/loss"] == losses.of_step[4]
