"""Frame scorers: the interface that trained detectors and baselines share in a test."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TypedDict

import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.data.clips.windows import ClipBatch
from memguard.detection.patch_scores import PatchScores
from memguard.detection.places import PlaceMetrics
from memguard.scoring.metrics import FrameTable
from memguard.scoring.protocols import ScoreConfig, frame_metrics

OF_PATCHES = ["patch", "patch_row", "patch_column", "regions"]
COLUMNS = ["psnr", "distance", "regular", "written", *OF_PATCHES, "label"]
REGION_COLUMNS = ("video", "frame", "left", "top", "right", "bottom", "score")


class ScoredFrames(TypedDict):
    """Values of successive frames of a video.

    Attributes:
        output: (B, C, H, W), the predicted or reconstructed frames, values in [−1, 1].
        target: (B, C, H, W), the true frames.
        psnr: (B,), dB; see :func:`memguard.scoring.psnr`.
        distance: (B,), the second term of the score; see :func:`memguard.scoring.feature_distance`.
        regular: (B,), see :func:`memguard.scoring.regular_score`.
        written: (B,), whether the frame updated the memory.
        patch: (B, S, rows, columns); see :func:`memguard.scoring.patch_errors`.
    """

    output: Tensor
    target: Tensor
    psnr: Tensor
    distance: Tensor
    regular: Tensor
    written: Tensor
    patch: Tensor


class RememberedFrames(ScoredFrames):
    """Values of successive frames, and of the memory that scored them.

    Attributes:
        query: (B, H, W, C), the encoder's map, unit rows.
        similarity: (B, H, W, M), the cosine of each query with each item before the update.
        items: (M, C), the items of the last frame's memory, after the update.
    """

    query: Tensor
    similarity: Tensor
    items: Tensor


class FrameScorer(pl.LightningModule):
    """Score test videos frame by frame, in order, and log the metrics of each protocol.

    Args:
        scoring: Turns the values of a test into scores.

    Attributes:
        frames: The result of a test: ``video``, ``frame``, ``psnr``, ``distance``, ``regular``,
            ``written``, ``patch``, ``patch_row`` and ``patch_column`` (of the patch that decides
            the score), ``label`` (−1 unknown) and ``score``, each (frames,), in order.
        regions: (N, 7), the regions of all frames under the columns :data:`REGION_COLUMNS`, by
            video, frame and score; see :func:`~memguard.scoring.find_regions`. A box is in pixels
            of the recorded picture, right and bottom exclusive, and the score is on the scale of
            ``patch``.
        frame_shape: Height and width of the tested frames in pixels, (0, 0) before a test.
        places: Compares regions and error maps with the truth; None leaves that out.
        place_metrics: Its metrics of the test, as :meth:`PlaceMetrics.metrics` returns them.
    """

    def __init__(self, scoring: ScoreConfig) -> None:
        super().__init__()
        self.scoring = scoring
        self.frames: dict[str, Tensor] = {}
        self.regions = torch.zeros(0, len(REGION_COLUMNS))
        self.frame_shape = (0, 0)
        self.places: PlaceMetrics | None = None
        self.place_metrics: dict[str, float] = {}
        self._table = FrameTable(COLUMNS)
        self._unfinished: dict[int, _UnfinishedVideo] = {}

    @abstractmethod
    def begin_test(self) -> None:
        """Discard the state of the last test."""

    @abstractmethod
    def score_frames(self, clips: Tensor, videos: Tensor) -> ScoredFrames:
        """Score the last frame of each window.

        Args:
            clips: uint8 (B, T, C, H, W). The windows of one video are in order, and the next call
                continues them.
            videos: (B,), the number of each window's video.
        """

    @abstractmethod
    def predict(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Predict or reconstruct the last frame of separate windows, without memory updates.

        Args:
            clips: uint8 (B, T, C, H, W), of any videos.

        Returns:
            The frames and the targets, (B, C, H, W) each, values in [−1, 1].
        """

    def on_test_epoch_start(self) -> None:
        """Start with an empty table."""
        self.begin_test()
        if self.places:
            self.places.begin()
        self._table.reset()
        self._unfinished = {}

    def test_step(self, batch: ClipBatch, batch_idx: int) -> ScoredFrames:
        """Score successive windows of one or several videos."""
        scored = self.score_frames(batch.frames, batch.video)
        self.frame_shape = (batch.frames.shape[-2], batch.frames.shape[-1])
        values = {
            "video": batch.video,
            "frame": batch.frame,
            "label": batch.label,
            "psnr": scored["psnr"],
            "distance": scored["distance"],
            "regular": scored["regular"],
            "written": scored["written"],
        }
        present = set(batch.video.tolist())
        for video in self._unfinished.keys() - present:
            self._finish_video(video)
        for video in present:
            rows = batch.video == video
            if video not in self._unfinished:
                self._unfinished[video] = _UnfinishedVideo(self.scoring, self.frame_shape)
            part = {name: column[rows] for name, column in values.items()}
            self._unfinished[video].add(part, scored["patch"][rows])
        if self.places:
            self.places.add(batch, scored["output"], scored["target"])
        return scored

    def on_test_epoch_end(self) -> None:
        """Join the frames of all processes, and log the metrics."""
        self.frames = self.joined_frames()
        tested = self.trainer.datamodule.tested  # type: ignore[attr-defined]
        shapes = {video: (footage.height, footage.width) for video, footage in tested.items()}
        self.regions = self.listed(self.frames.pop("regions"), shapes)
        self.log_dict(frame_metrics(self.frames, self.scoring))
        if self.places:
            self.place_metrics = self.places.metrics(self.frames, self.regions)
            self.log_dict(self.place_metrics)

    def joined_frames(self) -> dict[str, Tensor]:
        """Join the frames of all processes and test steps.

        Returns:
            Columns as in ``frames``, and ``regions``, (frames, 5, 5), with sides as shares of the
            frame's.
        """
        for video in list(self._unfinished):
            self._finish_video(video)
        frames = self._table.rows()
        frames["score"] = self.scoring.scores(frames)[self.scoring.name]
        return frames

    def _finish_video(self, video: int) -> None:
        self._table.update(**self._unfinished.pop(video).finish())

    def listed(self, regions: Tensor, pictures: Mapping[int, tuple[int, int]]) -> Tensor:
        """List the regions of all frames as :attr:`regions` has them.

        Args:
            regions: (frames, 5, 5), from :meth:`joined_frames`.
            pictures: Height and width of each video's recorded pictures, by its number.
        """
        places = torch.stack([self.frames["video"], self.frames["frame"]], dim=1)
        rows = torch.cat([places[:, None].expand(-1, regions.shape[1], -1), regions], dim=2)
        rows = rows[~regions[:, :, -1].isnan()]
        for video, (height, width) in pictures.items():
            of_video = rows[:, 0] == video
            scale = torch.tensor([width, height, width, height])
            rows[of_video, 2:6] = (rows[of_video, 2:6] * scale).round()
        return rows


class _UnfinishedVideo:
    """The values of a video's frames so far.

    Args:
        scoring: The scoring of the test.
        frame: Height and width of the tested frames, pixels.
    """

    def __init__(self, scoring: ScoreConfig, frame: tuple[int, int]) -> None:
        self._parts: list[dict[str, Tensor]] = []
        self._frame = frame
        self._patches = PatchScores(scoring, frame)

    def add(self, columns: dict[str, Tensor], errors: Tensor) -> None:
        """Add the next frames: a value each for every column, and their patch errors."""
        self._parts.append(columns)
        self._patches.add(errors)

    def finish(self) -> dict[str, Tensor]:
        """Return every column of the whole video; regions have sides as shares of the frame's."""
        columns = {name: torch.cat([part[name] for part in self._parts]) for name in self._parts[0]}
        columns |= self._patches.finish()
        height, width = self._frame
        columns["regions"][..., :4] /= torch.tensor([width, height, width, height])
        return columns
