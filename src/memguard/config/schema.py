"""The settings of each command: a model for each, with all that its configuration holds."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, ClassVar, Literal

from pydantic import Field

from memguard.config import checks as of
from memguard.config.checks import Check
from memguard.config.groups import (
    DatasetSettings,
    DataSettings,
    DenoiseSettings,
    EventsSettings,
    GuardSettings,
    LossSettings,
    MemorySettings,
    ModelSettings,
    NotifySettings,
    OptimizerSettings,
    PathsSettings,
    SchedulerSettings,
    ScoringSettings,
    TaskSettings,
)
from memguard.config.metric_names import (
    known_monitors,
    known_objective,
    monitors_validated,
    monitors_without_labels,
)
from memguard.config.observers import CallbacksSettings, LoggerSettings
from memguard.config.trainer import TrainerSettings
from memguard.config.values import (
    Backend,
    FilePath,
    GraphFormat,
    GraphPrecision,
    Hours,
    Packages,
    Places,
    Positive,
    Seed,
    Served,
    Settings,
    Source,
    Tags,
    Text,
    group_of,
)

# Groups of which every option begins with "# @package _global_".
GLOBAL_GROUPS = ("experiment", "sweep", "debug")


class Command(Settings):
    """The configuration of a command.

    Attributes:
        as_trained: Keys in which null, or no value, keeps the value of the checkpoint.
        checks: The checks of values that do not go together.
    """

    as_trained: ClassVar[frozenset[str]] = frozenset()
    checks: ClassVar[tuple[Check, ...]] = ()

    trust: Packages | None = Field(None, description="Packages whose classes a file may name.")

    @classmethod
    def refuse_key(cls, group: str, name: str, value: Any) -> str | None:
        """Refuse a key that looks like a setting.

        Users add keys of their own: other values refer to them, folders are named by them, and a
        sweep repeats a training by one (``+repeat=1,2,3``). Those pass. But a misspelt group, or a
        setting without its group, would change nothing and pass unnoticed.
        """
        if name in GLOBAL_GROUPS:
            return f"{name} has no effect: begin its file with the line # @package _global_."
        places = {key.rpartition(".")[2]: key for key in keys_of(cls)}
        near = get_close_matches(name, cls.model_fields, n=1, cutoff=0.75)
        meant = near[0] if near else places.get(name)
        return f"{name} is not known: did you mean {meant}?" if meant else None


class DetectorSettings(Command, extra="ignore"):
    """The settings of a detector, its dataset and trainer, of a training or in a checkpoint."""

    checks: ClassVar[tuple[Check, ...]] = (
        of.nearest_and_second_nearest,
        of.memory_in_use,
        of.merged_if_not_novel,
        of.scales_in_use,
        of.halved_three_times,
        of.compiled_alone,
        of.threshold_from_held_out,
    )

    seed: Seed = Field(description="Seed of weights, items and the order of windows.")
    compile: bool = Field(description="Compile the training step.")
    dataset: DatasetSettings | None = None  # whoever scores a stream has none
    data: DataSettings
    task: TaskSettings | None = None
    model: ModelSettings
    memory: MemorySettings
    loss: LossSettings
    denoise: DenoiseSettings | None = None
    guard: GuardSettings
    scoring: ScoringSettings
    optimizer: OptimizerSettings
    scheduler: SchedulerSettings | None = None
    trainer: TrainerSettings


DETECTOR = frozenset(DetectorSettings.model_fields)


class RecordedSettings(Command):
    """The settings of a run that writes a run folder."""

    checkpoint: FilePath | None = Field(description="The last.ckpt of a run, to resume or to test.")
    tags: Tags = Field(description="Words to find the run by.")
    options: dict[str, Any] = Field(description="The chosen option of each group.")
    paths: PathsSettings
    logger: LoggerSettings | None = None
    callbacks: CallbacksSettings | None = None


class RunSettings(DetectorSettings, RecordedSettings, extra="forbid"):
    """The settings of a training or a test beside its detector."""

    optimized_metric: Text = Field(description="Metric that a sweep ranks by; more is better.")


class PictureSettings(Settings):
    """The part of a camera's picture that counts."""

    ignored: Places = Field(description="Places whose errors do not count.")


class TrainingSettings(RunSettings, PictureSettings, extra="forbid"):
    """The configuration that ``conf/train.yaml`` composes."""

    checks = (
        *DetectorSettings.checks,
        of.resumed_or_begun,
        of.trained_or_tested,
        *of.same_past,
        of.limited_training,
        of.batches_to_train,
        of.batches_to_calibrate,
        of.tested_each_epoch,
        of.clipped_unscaled,
        known_objective,
        known_monitors,
        monitors_without_labels,
        monitors_validated,
    )

    weights: FilePath | None = Field(
        description="A checkpoint whose weights a new training begins with."
    )
    train: bool = Field(description="Train; false tests the checkpoint alone.")
    test: bool = Field(description="Test after the training.")
    print_config: bool = Field(description="Print the configuration before the training.")
    batch_norm: Literal["measured", "running"] = Field(
        description="Statistics in a test: measured over all windows, or of the last batches."
    )


class DenoiserSettings(RecordedSettings):
    """The training of a denoiser, which ``conf/train_denoiser.yaml`` composes."""

    checks = (of.denoiser_to_train, of.limited_training, of.batches_to_train)

    seed: Seed = Field(description="Seed of weights, noise and the order of frames.")
    dataset: DatasetSettings
    data: DataSettings
    denoise: DenoiseSettings
    optimizer: OptimizerSettings
    scheduler: SchedulerSettings
    trainer: TrainerSettings


class EvaluationSettings(RunSettings):
    """Changes of a trained detector's settings, which ``conf/evaluate.yaml`` composes."""

    as_trained = DETECTOR
    checks = (of.one_to_test, of.epochs_of_run, known_objective)

    baseline: Literal["previous_frame", "frame_difference"] | None = Field(
        description="A baseline to test in place of a checkpoint."
    )
    run: FilePath | None = Field(description="A run folder, whose last checkpoint is tested.")
    every_epoch: bool = Field(
        description="Test every stored epoch of the run beside it: an upper bound, by the labels."
    )


class AlarmSettings(Settings):
    """The level of alarms."""

    false_per_hour: Positive = Field(description="False alarms an hour in normal video.")


class ReportedSettings(PictureSettings):
    """The reports of a stream."""

    conditions: bool = Field(description="Report a covered or moved camera in place of anomalies.")
    standing: bool = Field(description="Report things that stand still and are no background.")
    alarm: AlarmSettings
    events: EventsSettings
    notify: NotifySettings


class WatchedSettings(ReportedSettings):
    """Settings of what one camera has watched."""

    hours: Hours | None = Field(description="Hours of the day to watch; null: always.")


class LiveSettings(DetectorSettings, extra="forbid"):
    """Changes of a trained detector's settings, to score streams."""

    as_trained = DETECTOR
    checks: ClassVar[tuple[Check, ...]] = ()

    paths: PathsSettings


class ScoreSettings(LiveSettings, ReportedSettings, extra="forbid"):
    """A video and changes of a detector's settings, which ``conf/score.yaml`` composes."""

    checks = (of.without_torch, of.reported_before_they_end)

    checkpoint: FilePath = Field(description="The last.ckpt of a training.")
    video: Source = Field(description="A file, a folder, a camera's address or number.")
    backend: Backend = Field(description="Runs a checkpoint, torch, or an exported graph.")
    annotate: bool = Field(description="Write a video with the errors laid over the picture.")


class CalibrationSettings(LiveSettings, PictureSettings, extra="forbid"):
    """Normal video and changes of a detector's settings, as ``conf/calibrate.yaml`` composes."""

    checkpoint: FilePath = Field(description="The last.ckpt of a training.")
    video: Source = Field(description="A file, a folder, a camera's address or number.")
    output: FilePath = Field(description="Where the calibrated checkpoint is written.")


class ExportSettings(LiveSettings, extra="forbid"):
    """The graph and changes of a detector's settings, which ``conf/export.yaml`` composes."""

    checks = (of.named_by_format, of.calibrated_int8)

    checkpoint: FilePath = Field(description="The last.ckpt of a training.")
    format: GraphFormat = Field(description="Format of the graph.")
    precision: GraphPrecision = Field(description="Numbers of the network: fp32, or int8.")
    video: FilePath | None = Field(description="Normal video that precision=int8 calibrates on.")
    output: FilePath = Field(description="Where the graph is written.")


class CameraSettings(Command, WatchedSettings):
    """A camera in the file of ``memguard.watch``, over the values of ``conf/watch.yaml``."""

    checks = (of.reported_before_they_end,)

    @classmethod
    def refuse_key(cls, group: str, name: str, value: Any) -> str | None:
        """Refuse every key that is no setting: nobody adds keys of their own to a camera."""
        usual = super().refuse_key(group, name, value)
        return usual or f"{name} is not known: a camera has {', '.join(cls.model_fields)}."

    source: Source = Field(description="The camera's address or number, or a file.")
    checkpoint: FilePath = Field(description="The last.ckpt of a training on this camera.")


class RaySettings(Settings):
    """A cluster that shares the cameras."""

    address: Text | None = Field(description="Address of a Ray cluster, or auto.")


class WatchSettings(LiveSettings, WatchedSettings, extra="forbid"):
    """Cameras and their usual settings, which ``conf/watch.yaml`` composes."""

    as_trained = DETECTOR | {"checkpoint"}
    checks = (of.reported_before_they_end,)

    cameras: FilePath = Field(description="A file with the cameras by name.")
    folder: FilePath = Field(description="Folder of the cameras' output and state.")
    serve: Served | None = Field(description="Address of the live page.")
    ray: RaySettings
    checkpoint: FilePath | None = Field(description="The last.ckpt of cameras that name no other.")


class PrepareSettings(Command):
    """The configuration that ``conf/prepare.yaml`` composes."""

    dataset: DatasetSettings
    download: bool = Field(description="Download the dataset first.")
    window: int = Field(ge=1, le=10**4, description="Frames that a video must have at least.")
    paths: PathsSettings


def keys_of(settings: type[Settings], group: str = "") -> Iterator[str]:
    """Name every key of a model and its groups."""
    for name, field in settings.model_fields.items():
        inner = group_of(field)
        yield from [f"{group}{name}"] if inner is None else keys_of(inner, f"{group}{name}.")
