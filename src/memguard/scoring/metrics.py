"""Metrics of frame scores, as torchmetrics classes.

Each gathers its frames from all processes first: the result does not depend on their distribution.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from matplotlib.axes import Axes
from torch import Tensor, distributed
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_roc,
)
from torchmetrics.utilities import dim_zero_cat

from memguard.model.shapes import require_shapes

Average = Literal["micro", "macro", "macro_padded"]


class OnCPU(Metric):
    """Keep all states on the CPU, on whatever device the model runs.

    They have double precision, which Apple's MPS lacks. Processes exchange them as objects, because
    NCCL accepts tensors of GPUs alone.
    """

    full_state_update = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dist_sync_fn": _of_all_processes} | kwargs)

    def _apply(self, fn: Callable[..., Tensor], exclude_state: Sequence[str] = "") -> "OnCPU":
        """Ignore moves to other devices and precisions."""
        return self


def _of_all_processes(value: Tensor, group: Any = None) -> list[Tensor]:
    values: list[Tensor] = [value] * distributed.get_world_size(group)
    distributed.all_gather_object(values, value, group=group)
    return values


class FrameTable(OnCPU):
    """Collect columns with a value or a map per frame over batches and processes.

    State: a list of tensors per column, concatenated over processes.

    Args:
        columns: Names of the columns beside ``video`` and ``frame``.

    Example:
        >>> table = FrameTable(["psnr"])
        >>> table.update(video=torch.tensor([0, 0]), frame=torch.tensor([5, 4]),
        ...              psnr=torch.tensor([31.0, 30.0]))
        >>> table.compute()["psnr"]
        tensor([30., 31.], dtype=torch.float64)
    """

    def __init__(self, columns: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = ["video", "frame", *columns]
        for column in self.columns:
            self.add_state(column, default=[], dist_reduce_fx="cat")

    def update(self, **values: Tensor) -> None:
        """Add frames.

        Args:
            **values: (N, …) for each column.

        Raises:
            ValueError: If the columns differ in their number of rows.
        """
        require_shapes(**{column: (values[column], "N …") for column in self.columns})
        for column in self.columns:
            getattr(self, column).append(values[column].cpu().double())

    def rows(self) -> dict[str, Tensor]:
        """Return :meth:`compute`, with the dimension of frames also for a single frame."""
        return {name: torch.atleast_1d(column) for name, column in self.compute().items()}

    def compute(self) -> dict[str, Tensor]:
        """Return each column, (frames, …), in double precision on the CPU, by video and frame.

        A frame that several processes have added counts once, with the values of the first.
        """
        rows = {name: dim_zero_cat(getattr(self, name)) for name in self.columns}
        frame = torch.stack([rows["video"], rows["frame"]], dim=1)
        _, place = frame.unique(dim=0, return_inverse=True)
        first = torch.full((int(place.max()) + 1,), len(frame))
        first.scatter_reduce_(0, place, torch.arange(len(frame)), "amin")
        return {name: column[first] for name, column in rows.items()}


class Share(OnCPU):
    """Base of the metrics with one value in [0, 1]."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def plot(
        self, val: Tensor | Sequence[Tensor] | None = None, ax: Axes | None = None
    ) -> tuple[Any, Any]:
        """Plot a value, or several in their order.

        Args:
            val: From :meth:`compute` or ``forward``; None computes it.
            ax: Where to plot; None makes a figure.

        Returns:
            The figure, None where ``ax`` is given, and the axes.
        """
        return self._plot(val, ax)


class FrameMetric(Share):
    """Base of the frame-level metrics: collect the score, label and video of each frame.

    State: three lists of tensors, concatenated over processes.
    """

    score: list[Tensor]
    label: list[Tensor]
    video: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("score", "label", "video"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, score: Tensor, label: Tensor, video: Tensor) -> None:
        """Add frames.

        Args:
            score: (N,), the higher, the more anomalous; any range.
            label: (N,), 1 anomalous, 0 normal.
            video: (N,), the number of each frame's video.

        Raises:
            ValueError: A shape is another one.
        """
        require_shapes(score=(score, "N"), label=(label, "N"), video=(video, "N"))
        self.score.append(score.cpu().double())
        self.label.append(label.cpu().long())
        self.video.append(video.cpu().long())

    def _frames(self) -> tuple[Tensor, Tensor, Tensor]:
        score = dim_zero_cat(self.score)
        # torchmetrics treats values outside [0, 1] as logits, and its sigmoid would tie large ones.
        spread = (score.max() - score.min()).clamp(min=torch.finfo(score.dtype).tiny)
        # A process without frames has no type.
        label, video = (dim_zero_cat(column).long() for column in (self.label, self.video))
        return (score - score.min()) / spread, label, video


def _has_both_classes(label: Tensor) -> bool:
    return bool(label.min() != label.max())


class FrameAUROC(FrameMetric):
    """Area under the ROC curve of frames.

    Args:
        average: ``micro`` pools the frames of all videos, the usual figure of the field; ``macro``
            is the mean over videos. A video with one class has no ROC curve, and the macro average
            leaves it out; :meth:`one_class_videos` lists these videos. ``macro_padded`` leaves out
            none: to each video it adds a normal frame with score 0 and an anomalous frame with
            score 1, scores min–max normalised over the whole set. Both macro averages are in use,
            and the padded one is higher (Georgescu et al., TPAMI 2021).

    Example:
        >>> metric = FrameAUROC()
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]),
        ...               torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(0.7500)
        >>> metric.one_class_videos()
        [0, 1]
    """

    def __init__(self, average: Average = "micro", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.average = average

    def compute(self) -> Tensor:
        """Return the area, in [0, 1]; NaN if neither the set nor a video has both classes."""
        score, label, video = self._frames()
        if self.average == "macro_padded" and _has_both_classes(label):
            score, label, video = _padded(score, label, video)
        if self.average == "micro":
            groups = [torch.ones_like(label, dtype=torch.bool)]
        else:
            groups = [video == number for number in video.unique()]
        areas = [
            binary_auroc(score[group], label[group])
            for group in groups
            if _has_both_classes(label[group])
        ]
        return torch.stack(areas).mean() if areas else torch.tensor(torch.nan)

    def one_class_videos(self) -> list[int]:
        """List the videos with frames of one class."""
        _, label, video = self._frames()
        return [int(v) for v in video.unique() if not _has_both_classes(label[video == v])]


def _padded(score: Tensor, label: Tensor, video: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Add a normal frame with score 0 and an anomalous frame with score 1 to each video."""
    number = video.unique()
    zeros, ones = (torch.full_like(number, value) for value in (0, 1))
    return (
        torch.cat([score, zeros, ones]),
        torch.cat([label, zeros, ones]),
        torch.cat([video, number, number]),
    )


def frame_auroc(score: Tensor, label: Tensor, video: Tensor | None = None) -> float:
    """Compute the area under the ROC curve of these frames, without other processes.

    Args:
        score: (N,), the higher, the more anomalous; any range.
        label: (N,), 1 anomalous, 0 normal.
        video: (N,), the number of each frame's video, for the macro average; None pools all frames.

    Returns:
        The area, in [0, 1]; NaN if neither the set nor a video has both classes.

    Example:
        >>> frame_auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        0.75
    """
    metric = FrameAUROC("micro" if video is None else "macro", sync_on_compute=False)
    metric.update(score, label, torch.zeros_like(label) if video is None else video)
    return float(metric.compute())


class FrameAP(FrameMetric):
    """Average precision of frames, all videos together; NaN with one class.

    Example:
        >>> metric = FrameAP()
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]),
        ...               torch.zeros(4))
        >>> metric.compute()
        tensor(0.8333)
    """

    def compute(self) -> Tensor:
        """Return the average precision, in [0, 1]."""
        score, label, _ = self._frames()
        if not _has_both_classes(label):
            return torch.tensor(torch.nan)
        return binary_average_precision(score, label)


class FrameEER(FrameMetric):
    """Equal error rate: the rate at which false positives and false negatives are equal.

    It is interpolated between two points of the ROC curve; NaN with one class.

    Example:
        >>> metric = FrameEER()
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]),
        ...               torch.zeros(4))
        >>> metric.compute()
        tensor(0.5000)
    """

    higher_is_better = False

    def compute(self) -> Tensor:
        """Return the rate, in [0, 1]."""
        score, label, _ = self._frames()
        if not _has_both_classes(label):
            return torch.tensor(torch.nan)
        false_positive, true_positive, _ = binary_roc(score, label)
        excess = false_positive - (1 - true_positive)  # rises from −1 to 1 along the curve
        after = int((excess >= 0).nonzero()[0, 0])
        before = max(after - 1, 0)
        rise = excess[after] - excess[before]
        part = -excess[before] / rise if rise > 0 else excess.new_zeros(())
        return false_positive[before] + part * (false_positive[after] - false_positive[before])
