"""The groups of settings: a model for each, with the values of every key.

A setting is a line. The sentence that refuses a value is made from the field's type and limits.
``Any`` stands where a value follows another key, or where the class that takes it checks it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from memguard.config.sentences import Words
from memguard.config.trust import TARGET
from memguard.config.values import (
    Broker,
    Cache,
    Exact,
    FilePath,
    FrameSides,
    FromOne,
    OnError,
    Part,
    Positive,
    Program,
    Seed,
    Settings,
    Share,
    Text,
    WebAddress,
    Weight,
)
from memguard.detection.scope import Scope
from memguard.scoring.names import ScoreName


class PathsSettings(Settings):
    """Folders of this machine."""

    data_dir: FilePath | None = Field(None, description="Folder of the datasets.")
    cache_dir: FilePath = Field(description="Folder of converted videos and decoded frames.")
    run_dir: Any = Field(None, description="The run's own folder.")


class DatasetSettings(Part):
    """The videos and their labels."""

    read = frozenset({"on_error", "cache"})

    root: FilePath = Field(description="Folder of the videos.")
    name: Text = Field("", description="Name of a folder's dataset in tables and reports.")
    labels: Text | None = Field(
        None,
        description="Name of a label set, where there are several; null: the one that is there.",
    )
    on_error: OnError = Field(
        "raise", description="Stop at videos that cannot be used, or skip them."
    )
    cache: Cache = Field(
        "none", description="Where decoded training frames are stored for the next epoch."
    )


class DataSettings(Part):
    """Frames, windows and batches."""

    read = frozenset({"frame_size", "channels", "holdout"})

    cache_dir: Any = Field(None, description="Follows paths.cache_dir.")
    past: Any = Field(None, description="Follows task.past.")
    frame_size: FrameSides = Field(
        description="Side of the square that frames are resized to, or [height,width], pixels."
    )
    channels: Annotated[Literal[1, 3], Exact, Words("1 (grey) or 3 (RGB)")] = Field(
        description="1 for grey, 3 for RGB."
    )
    batch_size: int = Field(ge=1, le=2**16, description="Windows per step.")
    threads: int = Field(ge=0, le=2**10, description="Threads that decode ahead.")
    stretch: int | None = Field(None, ge=1, le=10**6, description="Windows decoded together.")
    windows_per_epoch: FromOne | None = Field(
        None, description="Windows that an epoch samples of the training videos; null: all."
    )
    holdout: float = Field(ge=0, lt=1, description="Share of each training video held out.")
    seed: Seed = Field(description="Seed of the order of windows; follows seed.")
    on_error: Any = Field(None, description="Follows dataset.on_error.")
    cache: Any = Field(None, description="Follows dataset.cache.")


class TaskSettings(Settings):
    """The task of the network: predict or reconstruct frames."""

    name: Literal["pred", "recon"] = Field(
        description="Predict a frame from those before it, or reconstruct it."
    )
    past: int = Field(ge=0, le=1000, description="Frames before the scored one.")
    skip_connections: bool = Field(True, description="Skip connections from encoder to decoder.")


class ModelSettings(Part):
    """The autoencoder."""

    width: int = Field(ge=1, le=2**9, description="Channels of the first layer.")
    channels: Any = Field(None, description="Follows data.channels.")
    features: Any = Field(None, description="Follows memory.dim.")
    past: Any = Field(None, description="Follows task.past.")
    skip_connections: Any = Field(None, description="Follows task.skip_connections.")


Stride = Annotated[Literal[8, 4, 2, 1], Exact]


class MemorySettings(Part):
    """The prototypes of normal frames."""

    size: Annotated[
        int,
        Field(ge=0, le=10**6),
        Words("a whole number of at least 2 and at most 1000000, or 0 (none)"),
    ] = Field(10, description="M, the number of items.")
    dim: int = Field(ge=1, le=2**13, description="C, the length of an item.")
    scales: Annotated[
        list[Stride], Field(min_length=1, max_length=4), Words("a list of 8 and any of 4, 2 and 1")
    ] = Field([8, 4], description="Strides of the maps that have a memory of their own.")
    sizes: Annotated[
        list[Annotated[int, Field(ge=1, le=10**6)]],
        Field(min_length=1, max_length=4),
        Words("a list of whole numbers of at least 1 and at most 1000000, one for each scale"),
    ] = Field([500, 500], description="The number of items of each scale.")
    width: Any = Field(None, description="Follows model.width.")
    max_size: Annotated[int, Field(ge=1, le=1000)] = Field(
        100, description="Rows for the items of a memory that finds its size."
    )
    novelty: Annotated[float, Field(gt=0, le=2)] = Field(
        0.5, description="Distance, 1 − cosine, from every item at which a query becomes an item."
    )
    merge: Annotated[float, Field(ge=0, lt=2)] = Field(
        0.1, description="Distance within which two items become one."
    )
    shrinkage: Annotated[float, Field(ge=0, le=10**3)] = Field(
        1, description="Weights of items up to so many times the mean weight are left out."
    )


def _is_term(value: Any) -> bool:
    return isinstance(value, Mapping) and TARGET in value


def _require_term(value: dict[str, Any]) -> dict[str, Any]:
    if not _is_term(value):
        raise ValueError
    return value


# Another function may take the place of a published term.
TermWeight = Annotated[
    Weight | Annotated[dict[str, Any], AfterValidator(_require_term)],
    Words("a number of at least 0"),
]


class LossSettings(Settings):
    """The terms of the loss: the published ones, each by its weight, and others by name."""

    pixel: TermWeight = Field(1.0, description="Weight of the pixel loss.")
    compactness: TermWeight = Field(description="Weight of the compactness loss.")
    separateness: TermWeight = Field(description="Weight of the separateness loss.")
    margin: Weight = Field(description="Margin of the separateness loss.")

    @classmethod
    def refuse_key(cls, group: str, name: str, value: Any) -> str | None:
        """Refuse a key that is no term."""
        return None if _is_term(value) else super().refuse_key(group, name, value)


class DenoiseSettings(Part):
    """The denoiser before the encoder."""

    read = frozenset({"weights"})

    width: int = Field(64, ge=1, le=2**9, description="Channels of its layers.")
    channels: Any = Field(None, description="Follows data.channels.")
    weights: FilePath | None = Field(None, description="The last.ckpt of a trained denoiser.")


class GuardSettings(Part):
    """Memory updates in a test."""

    read = frozenset({"scope", "enabled"})

    threshold: Literal["auto"] | Weight = Field(
        description="γ: frames with a lower regular score update the memory."
    )
    quantile: Share = Field(description="The quantile over held-out normal frames that auto takes.")
    scope: Scope = Field(
        description="Items are carried through the dataset, or reset for each video."
    )
    enabled: bool = Field(description="Update the memory in a test.")


PatchSize = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2, max_length=2)]


class ScoringSettings(Part):
    """The score of a frame."""

    read = frozenset({"weight"})

    name: ScoreName = Field(description="The score of the run.")
    weight: Share = Field(description="λ, the weight of the PSNR term.")
    patch: Annotated[
        Literal["auto"]
        | PatchSize
        | Annotated[list[PatchSize], Field(min_length=1, max_length=10)],
        Words(
            "auto, [height, width], shares of the picture's above 0 and up to 1, or a list of these"
        ),
    ] = Field(
        description="Height and width of a patch, as shares of the frame's, or several; auto: the "
        "sizes of what moves in the training videos."
    )
    smoothing: Annotated[float, Field(ge=0, le=10**4), Words(unit="frames")] = Field(
        description="Standard deviation of the smoothing over time, frames."
    )
    causal: bool = Field(description="Smooth over the past alone, as for a live camera.")


class OptimizerSettings(Part, extra="allow"):
    """The optimiser; other keys are options of its class."""

    makers = ("torch.",)

    lr: Positive = Field(description="Learning rate at the first step.")
    fused: bool | None = Field(None, description="Update all weights by one kernel.")


class SchedulerSettings(Part, extra="allow"):
    """The schedule of the learning rate; other keys are arguments of its function."""

    makers = ("memguard.", "torch.")
    read = frozenset({"interval"})

    interval: Literal["step", "epoch"] = Field("step", description="When the rate changes.")
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(
        0, description="Share of the steps that raise the rate."
    )
    step_size: FromOne = Field(1, description="Intervals between two changes.")
    gamma: Positive = Field(1, description="Factor of a change.")


class EventsSettings(Settings):
    """Events, and their pictures."""

    shortest: Annotated[float, Field(ge=0), Words(unit="seconds")] = Field(
        description="Duration from which an event is reported, seconds."
    )
    longest: Annotated[float, Field(ge=1), Words(unit="seconds")] = Field(
        description="Longest duration of an event, seconds; a longer one is followed by another."
    )
    snapshots: bool = Field(description="Write a picture of each event's peak, with its box.")
    clip: Annotated[float, Field(ge=0, le=60), Words(unit="seconds")] | None = Field(
        description="Seconds before and after an event in its clip; null: no clips."
    )
    keep_days: Positive = Field(description="Days after which pictures and clips are removed.")
    keep_gigabytes: Positive = Field(
        description="Space of pictures and clips; if they need more, the oldest are removed."
    )


class NotifySettings(Settings):
    """Notifications of events."""

    webhook: WebAddress | None = Field(description="Web address that reports are posted to.")
    mqtt: Broker | None = Field(description="MQTT broker that reports are published at.")
    command: Program | None = Field(description="Program that is run for each report.")
    cooldown: Weight = Field(
        description="Least seconds from one notified event of a camera to the next of its kind."
    )
    most_per_hour: FromOne = Field(description="Most events of a camera notified in an hour.")
