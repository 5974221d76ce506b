"""How well scores tell anomalous frames from normal ones, as torchmetrics classes.

Each gathers its frames over all processes before it counts, so that a result does not depend on
how the frames were spread.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, distributed
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_roc,
)
from torchmetrics.utilities import dim_zero_cat

from memguard.model.shapes import require_shapes


class _OnCPU(Metric):
    """Keeps its states on the CPU, whatever device the model around it is moved to.

    They are in double precision, which Apple's MPS does not have. Between processes they go as
    objects, as NCCL takes tensors from GPUs alone.
    """

    full_state_update = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dist_sync_fn": _of_all_processes} | kwargs)

    def _apply(self, fn: Callable[..., Tensor], exclude_state: Sequence[str] = "") -> "_OnCPU":
        """Stay, where a module would be moved or change its precision."""
        return self


def _of_all_processes(value: Tensor, group: Any = None) -> list[Tensor]:
    values: list[Tensor] = [value] * distributed.get_world_size(group)
    distributed.all_gather_object(values, value, group=group)
    return values


class FrameTable(_OnCPU):
    """Columns with a value or a map per frame, joined over batches and processes.

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
            ValueError: A column has more rows or fewer than the others.
        """
        require_shapes(**{column: (values[column], "N …") for column in self.columns})
        for column in self.columns:
            getattr(self, column).append(values[column].cpu().double())

    def rows(self) -> dict[str, Tensor]:
        """Give what :meth:`compute` does, of a single frame as well, whose columns it squeezes."""
        return {name: torch.atleast_1d(column) for name, column in self.compute().items()}

    def compute(self) -> dict[str, Tensor]:
        """Give each column, (frames, …) in double precision on the CPU, by video and frame.

        A frame that came in more than once, as several processes may have found it, counts once: as
        the first of them has it.
        """
        rows = {name: dim_zero_cat(getattr(self, name)) for name in self.columns}
        frame = torch.stack([rows["video"], rows["frame"]], dim=1)
        _, place = frame.unique(dim=0, return_inverse=True)
        first = torch.full((int(place.max()) + 1,), len(frame))
        first.scatter_reduce_(0, place, torch.arange(len(frame)), "amin")
        return {name: column[first] for name, column in rows.items()}


class FrameMetric(_OnCPU):
    """What the frame-level metrics share: the score, label and video of each frame.

    State: three lists of tensors, concatenated over processes.
    """

    higher_is_better = True
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
            video: (N,), a number for each frame's video.

        Raises:
            ValueError: A shape is another one.
        """
        require_shapes(score=(score, "N"), label=(label, "N"), video=(video, "N"))
        self.score.append(score.cpu().double())
        self.label.append(label.cpu().long())
        self.video.append(video.cpu().long())

    def _frames(self) -> tuple[Tensor, Tensor, Tensor]:
        score = dim_zero_cat(self.score)
        # torchmetrics takes values outside [0, 1] for logits, and its sigmoid would tie large ones.
        spread = (score.max() - score.min()).clamp(min=torch.finfo(score.dtype).tiny)
        # A process without frames holds nothing, of which the type is not known.
        label, video = (dim_zero_cat(column).long() for column in (self.label, self.video))
        return (score - score.min()) / spread, label, video


def _has_both_classes(label: Tensor) -> bool:
    return bool(label.min() != label.max())


class FrameAUROC(FrameMetric):
    """Area under the ROC curve of frames.

    Args:
        average: ``micro`` counts all frames of all videos together, as the field reports it;
            ``macro`` is the mean over videos. A video with one class only has no ROC curve and is
            left out of the macro average; :meth:`one_class_videos` names it.

    Example:
        >>> metric = FrameAUROC()
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]),
        ...               torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(0.7500)
    """

    def __init__(self, average: Literal["micro", "macro"] = "micro", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.average = average

    def compute(self) -> Tensor:
        """Give the area, in [0, 1]; NaN where no frame or no video has both classes."""
        score, label, video = self._frames()
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
        """Name the videos whose frames are all normal or all anomalous."""
        _, label, video = self._frames()
        return [int(v) for v in video.unique() if not _has_both_classes(label[video == v])]


def frame_auroc(score: Tensor, label: Tensor, video: Tensor | None = None) -> float:
    """Count the area under the ROC curve over these frames, whatever other processes hold.

    Args:
        score: (N,), the higher, the more anomalous; any range.
        label: (N,), 1 anomalous, 0 normal.
        video: (N,), a number for each frame's video, for the mean over videos; without, all frames
            are counted together.

    Returns:
        The area, in [0, 1]; NaN where no frame or no video has both classes.

    Example:
        >>> frame_auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        0.75
    """
    metric = FrameAUROC("micro" if video is None else "macro", sync_on_compute=False)
    metric.update(score, label, torch.zeros_like(label) if video is None else video)
    return float(metric.compute())


class FrameAP(FrameMetric):
    """Average precision of frames, all videos together; NaN with one class only.

    Example:
        >>> metric = FrameAP()
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]),
        ...               torch.zeros(4))
        >>> metric.compute()
        tensor(0.8333)
    """

    def compute(self) -> Tensor:
        """Give the average precision, in [0, 1]."""
        score, label, _ = self._frames()
        if not _has_both_classes(label):
            return torch.tensor(torch.nan)
        return binary_average_precision(score, label)


class FrameEER(FrameMetric):
    """Equal error rate: where as large a share of normal frames is flagged as anomalous are missed.

    Between two points of the ROC curve it is interpolated; NaN with one class only.

    Example:
        >>> metric = FrameEER()
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]),
        ...               torch.zeros(4))
        >>> metric.compute()
        tensor(0.5000)
    """

    higher_is_better = False

    def compute(self) -> Tensor:
        """Give the rate, in [0, 1]."""
        score, label, _ = self._frames()
        if not _has_both_classes(label):
            return torch.tensor(torch.nan)
        flagged, found, _ = binary_roc(score, label)
        excess = flagged - (1 - found)  # climbs from −1 to 1 along the curve
        after = int((excess >= 0).nonzero()[0, 0])
        before = max(after - 1, 0)
        climb = excess[after] - excess[before]
        part = -excess[before] / climb if climb > 0 else excess.new_zeros(())
        return flagged[before] + part * (flagged[after] - flagged[before])
