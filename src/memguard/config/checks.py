"""Checks of settings that do not go together; each names the keys that it reads."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from memguard.config.sentences import Problem, shown
from memguard.data.video.frame_size import FrameSize, sides


class Check(NamedTuple):
    """A check of several settings, each of which is possible by itself.

    Attributes:
        keys: Of the settings.
        find: Takes their values, None for one that is not set; yields a sentence for each fault.
    """

    keys: tuple[str, ...]
    find: Callable[..., Iterator[str]]

    def problems(self, config: DictConfig) -> Iterator[Problem]:
        """Check a configuration."""
        values = (OmegaConf.select(config, key) for key in self.keys)
        return (Problem(self.keys, sentence) for sentence in self.find(*values))


def reads(*keys: str) -> Callable[[Callable[..., Iterator[str]]], Check]:
    """Decorate a check with the keys that it reads."""
    return lambda find: Check(keys, find)


GRAPH_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch_export": ".pt2"}


@reads("output", "format")
def named_by_format(output: str, form: str) -> Iterator[str]:
    """Refuse the name of a graph that other programs would take for another format."""
    suffix = GRAPH_SUFFIXES[form]
    if not output.endswith(suffix):
        yield f"output={output} cannot work with format={form}: its name must end in {suffix}."


@reads("precision", "format", "video")
def calibrated_int8(precision: str, form: str, video: str | None) -> Iterator[str]:
    """Refuse int8 in another format than OpenVINO's, and without the video that it needs."""
    if precision == "int8" and form != "openvino":
        yield f"precision=int8 cannot work with format={form}: set format=openvino."
    elif precision == "int8" and video is None:
        yield "precision=int8 needs normal video: set video to a file, or a folder of videos."
    elif precision != "int8" and video is not None:
        yield f"video={video} cannot work with precision={precision}: leave it out."


@reads("backend", "guard.threshold", "guard.quantile", "trainer.precision")
def without_torch(backend: str, threshold: Any, quantile: Any, precision: Any) -> Iterator[str]:
    """Refuse what an exported graph does not have."""
    decided = [threshold == "auto", quantile is not None, precision is not None]
    if backend != "torch" and any(decided):
        yield (
            f"backend={backend} takes γ and precision as they were exported: leave guard.quantile, "
            "guard.threshold=auto and trainer.precision out, or give them to memguard.export."
        )


@reads("memory.size", "loss.separateness")
def nearest_and_second_nearest(size: int, separateness: Any) -> Iterator[str]:
    """Refuse a loss that compares two items where there is one."""
    if size == 1 and _weight(separateness) > 0:
        yield (
            f"memory.size=1 cannot work with loss.separateness={separateness}, which holds the "
            "nearest item against the second nearest: set memory.size to at least 2, or "
            "loss.separateness=0."
        )


@reads("memory.size", "guard.enabled", "loss.compactness", "loss.separateness", "scoring.weight")
def memory_in_use(
    size: int, enabled: bool, compactness: Any, separateness: Any, weight: float
) -> Iterator[str]:
    """Refuse losses, guard or score that use the memory where there is none."""
    used = enabled or _weight(compactness) or _weight(separateness) or weight < 1
    if size == 0 and used:
        yield (
            "memory.size=0 cannot work, as losses, guard or score use the memory: set it to at "
            "least 2, or choose memory=none, which takes all of that out."
        )


@reads("memory.merge", "memory.novelty")
def merged_if_not_novel(merge: float | None, novelty: float | None) -> Iterator[str]:
    """Refuse a memory that would merge each new item at once."""
    if merge is not None and novelty is not None and merge >= novelty:
        yield (
            f"memory.merge={merge} cannot work with memory.novelty={novelty}, as each new item "
            "would be merged at once: set memory.merge to less."
        )


@reads("memory.scales", "task.skip_connections")
def scales_in_use(scales: Any, skip_connections: bool | None) -> Iterator[str]:
    """Refuse memories at skips where the decoder takes no skips."""
    if scales and list(scales) != [8] and skip_connections is False:
        yield (
            f"memory.scales={shown(scales)} cannot work with task.skip_connections=false, as the "
            "decoder takes no skips: choose memory=memae, or task=pred."
        )


def _weight(term: Any) -> float:
    """Return the weight of a published term of the loss; another function has no such limits."""
    return 0 if isinstance(term, DictConfig) else term


@reads("data.frame_size", "model._target_")
def halved_three_times(size: FrameSize, model: str | None) -> Iterator[str]:
    """Refuse frames that the published encoder cannot halve; another network has a stride."""
    if any(side % 8 for side in sides(size)) and str(model).startswith("memguard."):
        yield (
            f"data.frame_size={size} cannot work: it must be a multiple of 8, in pixels, as the "
            "encoder halves it three times."
        )


@reads("compile", "trainer.devices", "trainer.num_nodes")
def compiled_alone(compiled: bool, devices: Any, nodes: int | None) -> Iterator[str]:
    """Refuse to compile a training of several processes."""
    for key, count in (("devices", devices), ("num_nodes", nodes or 1)):
        if compiled and count != 1:
            yield (
                f"compile=true cannot work with trainer.{key}={shown(count)}: set compile=false, "
                f"or trainer.{key}=1."
            )


def _finds_threshold(enabled: bool, threshold: Any) -> bool:
    return enabled and threshold == "auto"


@reads("guard.threshold", "guard.enabled", "data.holdout")
def threshold_from_held_out(threshold: Any, enabled: bool, holdout: float) -> Iterator[str]:
    """Refuse to calibrate the guard without held-out frames."""
    if _finds_threshold(enabled, threshold) and holdout == 0:
        yield (
            "guard.threshold=auto needs held-out normal frames, but data.holdout=0: set "
            "data.holdout to 0.05, or guard.threshold to a number."
        )


@reads("guard.threshold", "guard.enabled", "trainer.limit_val_batches")
def batches_to_calibrate(threshold: Any, enabled: bool, limit: float | None) -> Iterator[str]:
    """Refuse to calibrate the guard without validation batches."""
    if _finds_threshold(enabled, threshold) and limit == 0:
        yield (
            "guard.threshold=auto needs held-out normal frames, but trainer.limit_val_batches=0: "
            "leave that out, or set guard.threshold to a number."
        )


@reads("checkpoint", "weights")
def resumed_or_begun(checkpoint: str | None, weights: str | None) -> Iterator[str]:
    """Refuse to resume a training and to begin one."""
    if checkpoint and weights:
        yield (
            "checkpoint and weights cannot be set together: checkpoint resumes a training, "
            "weights begins a new one. Leave weights out to resume."
        )


@reads("checkpoint", "run", "baseline")
def one_to_test(*given: str | None) -> Iterator[str]:
    """Refuse to test nothing, and to test two things at once."""
    if sum(each is not None for each in given) != 1:
        yield (
            "A test needs exactly one of checkpoint, run and baseline: add either checkpoint=…, "
            "the checkpoints/last.ckpt of a training run, or run=…, its folder, or "
            "baseline=previous_frame or frame_difference."
        )


@reads("every_epoch", "run")
def epochs_of_run(every_epoch: bool, run: str | None) -> Iterator[str]:
    """Refuse to test the epochs of a single checkpoint or a baseline."""
    if every_epoch and run is None:
        yield (
            "every_epoch=true cannot work without run: add run=…, the folder of a training with "
            "callbacks=each_epoch, in place of checkpoint or baseline."
        )


@reads("train", "test", "checkpoint")
def trained_or_tested(train: bool, test: bool, checkpoint: str | None) -> Iterator[str]:
    """Refuse to do nothing, and to test a detector that nobody has trained."""
    if not train and not test:
        yield "train=false cannot work with test=false: leave out one of them."
    elif not train and not checkpoint:
        yield (
            "train=false cannot work by itself, as it tests a trained detector: add checkpoint=…, "
            "the checkpoints/last.ckpt of a training run."
        )


def _follows_task(key: str) -> Check:
    """Refuse a window length that differs from the task's."""

    @reads(key, "task.past")
    def same_past(past: Any, of_task: int) -> Iterator[str]:
        if past is not None and past != of_task:
            yield (
                f"{key}={shown(past)} cannot work with task.past={of_task}: set task.past alone, "
                "which both follow."
            )

    return same_past


same_past = tuple(map(_follows_task, ("data.past", "model.past")))


# Schedules that depend on the length of the training.
NEED_END = ("memguard.model.schedules.cosine", "memguard.model.schedules.warmup_cosine")


@reads("trainer.max_epochs", "trainer.max_steps", "scheduler._target_", "scheduler.interval")
def limited_training(
    epochs: int | None, steps: int | None, schedule: str | None, interval: str | None
) -> Iterator[str]:
    """Refuse a training without the end that its schedule needs."""
    by_epochs = interval == "epoch"
    endless = epochs in (None, -1) and (by_epochs or steps in (None, -1))
    if endless and schedule in NEED_END:
        remedy = "trainer.max_epochs to a number" if by_epochs else "trainer.max_steps as well"
        yield (
            f"trainer.max_epochs={shown(epochs)} cannot work by itself, as the learning rate comes "
            f"down to 0 over the length of the training: set {remedy}, or scheduler=none."
        )


@reads("denoise._target_")
def denoiser_to_train(network: str | None) -> Iterator[str]:
    """Refuse to train a denoiser without a network."""
    if network is None:
        yield "denoise=none has no weights to train: choose denoise=adnet or denoise=adnet_small."


@reads("trainer.limit_train_batches")
def batches_to_train(limit: float | None) -> Iterator[str]:
    """Refuse a training without batches."""
    if limit == 0:
        yield (
            "trainer.limit_train_batches=0 trains nothing: set it to at least 1, or test a "
            "checkpoint with memguard.evaluate."
        )


@reads("callbacks.test_each_epoch.enabled", "test")
def tested_each_epoch(each_epoch: bool | None, test: bool) -> Iterator[str]:
    """Refuse to test each epoch, but not the training."""
    if each_epoch and not test:
        yield (
            "callbacks.test_each_epoch.enabled=true cannot work with test=false: leave out one of "
            "them."
        )


@reads("trainer.gradient_clip_val", "trainer.precision", "optimizer.fused")
def clipped_unscaled(clips: float | None, precision: Any, fused: bool | None) -> Iterator[str]:
    """Refuse to clip scaled gradients: only the fused optimiser knows their scale."""
    if clips and str(precision) in ("16", "16-mixed") and fused:
        yield (
            f"trainer.gradient_clip_val={clips} cannot work with optimizer.fused=true under "
            f"trainer.precision={precision}, whose gradients are scaled: set "
            "optimizer.fused=false, or trainer.precision=bf16-mixed."
        )


@reads("events.shortest", "events.longest")
def reported_before_they_end(shortest: float, longest: float) -> Iterator[str]:
    """Refuse events that end before they are long enough to be reported."""
    if shortest > longest:
        yield (
            f"events.shortest={shown(shortest)} cannot work with events.longest={shown(longest)}, "
            "as every event ends before it is reported: set events.shortest to less."
        )
