"""The detector: its training step, its losses and its validation."""

from functools import partial
from math import cos, exp, pi
from pathlib import Path
from typing import Any, Literal

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader

from memguard import scoring
from memguard.data.clips.windows import ClipBatch
from memguard.detection.alarm import Alarm
from memguard.detection.detector import Detector
from memguard.detection.frame_scorer import FrameScorer
from memguard.model.losses import gradient_difference_loss, ms_ssim_loss
from memguard.model.memory.mnad import write
from memguard.model.schedules import Schedule, cosine, warmup_cosine
from memguard.model.total_loss import Term, TotalLoss, published_loss
from memguard.scoring.protocols import ScoreConfig
from tests.conftest import small_detector
from tests.detection.conftest import videos


def test_the_calibration_of_other_weights_is_not_loaded() -> None:
    learned, begun = small_detector(), small_detector()
    with torch.no_grad():
        for value in (*learned.autoencoder.parameters(), learned.memory.items):
            value.add_(1)
    learned.guard.calibrate(torch.rand(20))
    learned.alarm.calibrate([torch.rand(20)])
    learned.standing.calibrate([torch.rand(20)])
    begun.begin_from(learned.state_dict())
    differing = {
        name
        for name, value in begun.state_dict().items()
        if not torch.equal(value, learned.state_dict()[name])
    }
    assert not begun.standing.calibrated
    own = ("guard.", "alarm.", "reference.")
    assert differing == {name for name in begun.state_dict() if name.startswith(own)}


def every_term() -> TotalLoss:
    terms = dict(published_loss(0.1, 0.1).terms)
    terms["gradient_difference"] = Term(gradient_difference_loss, 0.5)
    terms["ms_ssim"] = Term(partial(ms_ssim_loss, scales=1), 0.5)
    return TotalLoss(terms)  # type: ignore[arg-type]


class Scale(nn.Module):
    """A term with a weight of its own."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, prediction: Tensor) -> Tensor:
        return self.value * prediction.mean()


def test_weights_load_whatever_terms_their_training_had() -> None:
    plain, scaled = small_detector(), small_detector(loss=TotalLoss({"scale": Term(Scale(2.0))}))
    with torch.no_grad():
        plain.memory.items.add_(1)
    scaled.load_state_dict(plain.state_dict())  # a term that was not there
    assert torch.equal(scaled.memory.items, plain.memory.items)
    assert scaled.state_dict()["loss.terms.scale.compute.value"] == 2
    small_detector().load_state_dict(scaled.state_dict())  # a term that is there no more
    again = small_detector(loss=TotalLoss({"scale": Term(Scale(3.0))}))
    again.load_state_dict(scaled.state_dict())
    assert again.state_dict()["loss.terms.scale.compute.value"] == 2
    with pytest.raises(RuntimeError, match=r"memory\.items"):
        plain.load_state_dict({k: v for k, v in plain.state_dict().items() if "items" not in k})


def test_terms_read_the_step() -> None:
    found: dict[str, Tensor] = {}

    def record(
        prediction: Tensor, target: Tensor, query: Tensor, items: Tensor, recalled: Tensor,
        similarity: Tensor,
    ) -> Tensor:  # fmt: skip
        found.update(locals())
        return prediction.mean()

    under_test, (clips,) = small_detector(loss=TotalLoss({"record": Term(record, 2.0)})), videos(3)
    items = under_test.memory.items
    step = under_test.losses(clips, items)
    frames, target = under_test.split(clips)
    output, recalled = under_test(frames)
    assert torch.equal(found["prediction"], output)
    assert torch.equal(found["target"], target)
    assert torch.equal(found["query"], recalled.query)
    assert found["query"].requires_grad
    assert found["items"] is items
    mixture = recalled.similarity.softmax(dim=-1) @ items
    torch.testing.assert_close(found["recalled"], mixture)
    assert torch.equal(found["similarity"], recalled.similarity)
    assert not found["similarity"].requires_grad
    assert float(step.metrics["train/record"]) == float(output.mean())
    assert float(step.loss) == 2 * float(output.mean())


def test_a_training_step_never_waits_for_the_device() -> None:
    under_test = small_detector(loss=every_term()).train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        # A fake tensor has no values: code that waits for one fails.
        with pytest.raises(DataDependentOutputException):
            float(under_test.memory.items.sum())
        items = under_test.memory.items
        step = under_test.learn(torch.zeros(2, 5, 1, 16, 16, dtype=torch.uint8))
        step.loss.backward()
        assert under_test.memory.items is not items
        assert {"train/loss", "train/psnr", "memory/used"} <= step.metrics.keys()


@pytest.mark.parametrize("loss", [published_loss(0.1, 0.1), every_term()], ids=["mnad", "all"])
def test_a_compiled_step_is_one_graph_and_equals_an_eager_one(
    loss: TotalLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    def traced(function: Any, *, fullgraph: bool, mode: str) -> Any:
        """Trace as torch.compile does, but skip the generation of machine code (a minute)."""
        return compile_(function, fullgraph=fullgraph, backend="aot_eager")

    compile_ = torch.compile
    monkeypatch.setattr("torch.compile", traced)
    clips = videos(4)[0]
    eager = small_detector(loss=loss).train()
    compiled = small_detector(loss=loss, compiled=True).train()
    for _ in range(2):  # the second step reads the items that the first updated
        expected, found = eager.learn(clips), compiled.learn(clips)
        expected.loss.backward()
        found.loss.backward()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(compiled.memory.items, eager.memory.items)
    for weight, same in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, same.grad, rtol=1e-3, atol=1e-5)


def test_a_test_warns_of_a_guard_that_passes_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    under_test = small_detector(threshold=0.01)
    under_test.frames = {
        "regular": torch.tensor([0.02, 0.5]), "written": torch.tensor([False, False]),
    }  # fmt: skip
    monkeypatch.setattr(FrameScorer, "on_test_epoch_end", lambda self: None)
    logged: dict[str, float] = {}
    monkeypatch.setattr(under_test, "log", logged.__setitem__)
    with pytest.warns(UserWarning, match="The guard let no frame"):
        under_test.on_test_epoch_end()
    assert logged == {"guard/threshold": 0.01}


class Loss(Logger):
    """Record the logged loss of each step."""

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
    """Record the loss of every step."""

    def __init__(self) -> None:
        self.of_step: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        self.of_step.append(float(outputs["loss"]))


def test_the_logged_values_are_those_of_the_same_step() -> None:
    number = torch.zeros(4, dtype=torch.long)
    batches = [ClipBatch(video, number, number, number) for video in videos(4, 4, 4, 4, 4)]
    loss, losses = Loss(), Losses()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, log_every_n_steps=2, logger=loss, callbacks=[losses],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(small_detector().train(), DataLoader(batches, batch_size=None))
    assert loss.of_step == {1: losses.of_step[1], 3: losses.of_step[3]}
    # The line at the end of an epoch shows its last step.
    assert trainer.callback_metrics["train/loss"] == losses.of_step[4]


class Constant(nn.Module):
    """A network with the constant query (0.6, 0.8) and the constant frame 0.5."""

    def encoder(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        return torch.tensor([3.0, 4.0]).expand(len(frames), 2).view(-1, 2, 1, 1), []

    def decoder(self, fused: Tensor, skips: list[Tensor]) -> Tensor:
        return torch.full((len(fused), 1, 4, 4), 0.5)


def test_each_loss_has_its_own_weight_and_the_margin_is_used() -> None:
    under_test = small_detector(loss=published_loss(2.0, 5.0, margin=0.3))
    under_test.autoencoder = Constant()  # type: ignore[assignment]
    black = torch.zeros(3, 5, 1, 4, 4, dtype=torch.uint8)
    step = under_test.losses(black, torch.eye(2))
    pixel = (0.5 + 1) ** 2
    compactness = (0.6**2 + 0.2**2) / 2
    separateness = (0.6**2 + 0.2**2) ** 0.5 - (0.4**2 + 0.8**2) ** 0.5 + 0.3
    assert float(step.metrics["train/pixel"]) == pytest.approx(pixel)
    assert float(step.metrics["train/compactness"]) == pytest.approx(compactness)
    assert float(step.metrics["train/separateness"]) == pytest.approx(separateness, abs=1e-5)
    expected = pixel + 2 * compactness + 5 * separateness
    assert float(step.loss) == pytest.approx(expected, abs=1e-5)
    assert float(step.metrics["train/loss"]) == float(step.loss)


def test_a_window_is_split_into_its_past_and_its_last_frame() -> None:
    window = torch.tensor([0, 51, 102, 153, 255], dtype=torch.uint8).view(1, 5, 1, 1, 1)
    past, target = small_detector().split(window.expand(1, 5, 1, 8, 8))
    assert past[0, :, 3, 5].tolist() == pytest.approx([-1, -0.6, -0.2, 0.2])
    assert torch.equal(target, torch.ones(1, 1, 8, 8))
    same, target = small_detector().split(window[:, :1])
    assert same.flatten().tolist() == target.flatten().tolist() == [-1]


def fit(module: Detector, batches: list[ClipBatch], *callbacks: pl.Callback, epochs: int) -> None:
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, callbacks=list(callbacks),
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module.train(), DataLoader(batches, batch_size=None))


def batches_of(*clips: Tensor) -> list[ClipBatch]:
    return [ClipBatch(each, *[torch.zeros(len(each), dtype=torch.long)] * 3) for each in clips]


class Rates(pl.Callback):
    """Record the learning rate of each step, and the last one."""

    def __init__(self) -> None:
        self.of_step: list[float] = []
        self.left = torch.nan

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        self.of_step.append(optimizer.param_groups[0]["lr"])

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self.left = trainer.optimizers[0].param_groups[0]["lr"]


def test_the_learning_rate_follows_a_cosine_step_by_step() -> None:
    rates = Rates()
    fit(small_detector(), batches_of(*videos(2, 2, 2)), rates, epochs=2)
    expected = [1e-3 * (1 + cos(pi * step / 6)) / 2 for step in range(6)]
    assert rates.of_step == pytest.approx(expected)
    assert rates.left == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("schedule", "expected", "left"),
    [
        (None, [1e-3] * 6, 1e-3),
        (Schedule(cosine, interval="epoch"), [1e-3] * 3 + [5e-4] * 3, 0),
        (Schedule(partial(StepLR, step_size=2)), [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5], 1e-6),
        (Schedule(partial(StepLR, step_size=1), "epoch"), [1e-3] * 3 + [1e-4] * 3, 1e-5),
    ],
)
def test_a_schedule_takes_a_step_after_each_step_or_epoch(
    schedule: Schedule | None, expected: list[float], left: float
) -> None:
    rates = Rates()
    fit(small_detector(schedule=schedule), batches_of(*videos(2, 2, 2)), rates, epochs=2)
    assert rates.of_step == pytest.approx(expected)
    assert rates.left == pytest.approx(left, abs=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(partial(warmup_cosine, warmup=0.4)),
        Schedule(cosine, interval="epoch"),
        Schedule(partial(StepLR, step_size=2)),
    ],
)
def test_a_schedule_resumes_where_it_was(schedule: Schedule, tmp_path: Path) -> None:
    def trainer(rates: Rates, *callbacks: pl.Callback) -> pl.Trainer:
        return pl.Trainer(
            accelerator="cpu", max_epochs=3, logger=False, callbacks=[rates, *callbacks],
            enable_checkpointing=bool(callbacks), enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip

    data = DataLoader(batches_of(*videos(2, 2, 2)), batch_size=None)
    whole, resumed = Rates(), Rates()
    saving = pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1)
    first, second = (small_detector(schedule=schedule).train() for _ in range(2))
    trainer(whole, saving).fit(first, data)
    trainer(resumed).fit(second, data, ckpt_path=tmp_path / "step=3.ckpt", weights_only=True)
    assert len(whole.of_step) == 9
    assert len(set(whole.of_step)) > 2
    assert resumed.of_step == whole.of_step[3:]
    assert resumed.left == whole.left
    for weight, same in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(weight, same)


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_a_schedule_that_needs_an_end_is_refused_without_one(
    interval: Literal["step", "epoch"],
) -> None:
    under_test = small_detector(schedule=Schedule(cosine, interval))
    with pytest.raises(MisconfigurationException, match=rf"set trainer\.max_{interval}s, or"):
        fit(under_test, batches_of(*videos(2)), epochs=-1)


class AfterSteps(pl.Callback):
    """Stop a training that has no end."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= 5


def test_a_training_without_an_end_is_stopped_from_outside() -> None:
    rates = Rates()
    fit(small_detector(schedule=None), batches_of(*videos(2, 2)), rates, AfterSteps(), epochs=-1)
    assert rates.of_step == [1e-3] * 5


SMOOTHED = ScoreConfig("published", 0.6, (0.25, 0.5), smoothing=1.0, causal=False)


def smoothed_over_the_past(errors: Tensor) -> Tensor:
    """Smooth patches (T, rows, columns) over the past with σ = 1, and take each frame's worst."""
    weights = torch.tensor([exp(-(lag**2) / 2) for lag in range(5)])
    worst = []
    for now in range(len(errors)):
        past = errors[max(now - 4, 0) : now + 1].flip(0)  # the present frame first
        share = weights[: len(past)].view(-1, 1, 1)
        worst.append(((share * past).sum(dim=0) / share.sum()).max())
    return torch.stack(worst)


def validate(module: Detector, clips: list[Tensor]) -> dict[str, Any]:
    """Validate on videos in batches of four windows."""
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    batches = [
        ClipBatch(
            video[first : first + 4],
            video=torch.full((len(video[first : first + 4]),), 3 * number),
            frame=torch.arange(first, min(first + 4, len(video))) + 4,
            label=torch.zeros(len(video[first : first + 4])),
        )
        for number, video in enumerate(clips)
        for first in range(0, len(video), 4)
    ]
    trainer.validate(module, DataLoader(batches, batch_size=None), verbose=False)
    return dict(trainer.callback_metrics)


@torch.no_grad()
def test_a_validation_calibrates_guard_and_alarm() -> None:
    under_test, clips = small_detector(threshold="auto", scoring=SMOOTHED), videos(13, 6)
    for brighter in (0.0, 0.5):  # the second validation is independent of the first
        under_test.autoencoder.decoder.get_parameter("head.0.bias").add_(brighter)
        metrics = validate(under_test, clips)
        predicted = [under_test.predict(video) for video in clips]
        regular = torch.cat([scoring.regular_score(*pair) for pair in predicted])
        psnr = torch.cat([scoring.psnr(*pair) for pair in predicted])
        patches = [scoring.patch_error(*pair, (0.25, 0.5)) for pair in predicted]
        grid = torch.linspace(0, 1, 101)
        torch.testing.assert_close(under_test.guard.normal_scores, regular.quantile(grid))
        expected = Alarm()
        expected.calibrate([smoothed_over_the_past(of_video) for of_video in patches])
        torch.testing.assert_close(dict(under_test.alarm.state_dict()), dict(expected.state_dict()))
        assert float(metrics["val/psnr"]) == pytest.approx(float(psnr.mean()))


def test_a_training_step_updates_the_items_with_its_queries() -> None:
    under_test, (clips,) = small_detector().train(), videos(4)
    before = under_test.memory.items
    step = under_test.learn(clips)
    assert not step.query.requires_grad
    assert torch.equal(under_test.memory.items, write(step.query, before))
    assert not torch.equal(under_test.memory.items, before)
