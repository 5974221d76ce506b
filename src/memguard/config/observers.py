"""The groups of settings of what observes a training: callbacks and loggers."""

from typing import Annotated, Any, Literal

from pydantic import Field

from memguard.config.sentences import Words
from memguard.config.values import Count, FromOne, Part, Positive, Settings, Text, Weight

Mode = Literal["min", "max"]


class SafeCheckpointsSettings(Part, extra="allow"):
    """Checkpoints; other keys are options of Lightning's ModelCheckpoint."""

    monitor: Text | None = Field(None, description="Metric that chooses the best epoch.")
    mode: Mode | None = Field(None, description="Direction of better values.")
    every_minutes: Annotated[Weight, Words(unit="minutes")] = Field(
        description="Most minutes that a crash loses; 0 saves after each step."
    )


class EarlyStoppingSettings(Part, extra="allow"):
    """The early end of a training; other keys are options of Lightning's EarlyStopping."""

    makers = ("pytorch_lightning.", "lightning.")

    patience: Count | None = Field(None, description="Validations without a better one.")
    monitor: Text | None = Field(None, description="Metric of the validation.")
    mode: Mode | None = Field(None, description="Direction of better values.")


class AveragedWeightsSettings(Part, extra="allow"):
    """Averaged weights; other keys are options of Lightning's EMAWeightAveraging."""

    decay: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Share of the average that stays at each step."
    )


class PseudoAUROCSettings(Part):
    """The validation against pseudo-anomalies."""

    windows: int = Field(
        ge=1, le=10**6, description="Held-out windows, and pseudo-anomalies of each kind."
    )


class TestEachEpochSettings(Part):
    """The test after each epoch."""

    enabled: bool = Field(description="Test after each epoch.")


class HeldOutClipsSettings(Part):
    """Pictures of held-out frames."""

    folder: Any = Field(None, description="Follows paths.run_dir.")
    clips: int = Field(ge=1, le=10**3, description="Number of clips.")


class MemoryWatchSettings(Part):
    """Figures of the memory."""

    folder: Any = Field(None, description="Follows paths.run_dir.")
    figure_every: FromOne = Field(description="Epochs from one figure to the next.")


class CallbacksSettings(Settings, extra="allow"):
    """The callbacks by name, and those of the user's own."""

    checkpoint: SafeCheckpointsSettings | None = None
    early_stopping: EarlyStoppingSettings | None = None
    ema: AveragedWeightsSettings | None = None
    pseudo_auroc: PseudoAUROCSettings | None = None
    test_each_epoch: TestEachEpochSettings | None = None
    held_out_clips: HeldOutClipsSettings | None = None
    memory: MemoryWatchSettings | None = None


class WandbOptions(Part, extra="allow"):
    """Settings of W&B itself."""

    makers = ("wandb.",)

    init_timeout: Positive = Field(description="Seconds until a run goes offline.")
    finish_timeout: Positive = Field(description="Seconds that a run waits at its end.")


class WandbSettings(Part, extra="allow"):
    """The logger of W&B; other keys are options of Lightning's WandbLogger."""

    mode: Literal["online", "offline", "disabled", "shared", "dryrun", "run"] = Field(
        description="Upload the run, or keep it on disk."
    )
    settings: WandbOptions | None = None


class LoggerSettings(Settings, extra="allow"):
    """The loggers by name, and those of the user's own."""

    wandb: WandbSettings | None = None
