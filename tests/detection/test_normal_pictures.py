"""The normal pictures of a stream, from which a reference learns as from a training's frames."""

import numpy as np
import torch
from torch import Tensor

from memguard.data.clips.windows import ClipBatch
from memguard.detection import normal_pictures
from memguard.detection.alarm import Alarm
from memguard.detection.guard import MemoryGuard
from memguard.detection.held_out import HeldOut
from memguard.detection.normal_pictures import NormalPictures
from memguard.detection.reference import Reference
from memguard.scoring.protocols import ScoreConfig

SCORING = ScoreConfig("patch", 0.6, (0.25, 0.25), smoothing=0.0, causal=False)


def film(*levels: int) -> Tensor:
    """Grey pictures, uint8 (N, 16, 16), some of which equal the one before."""
    ramp = torch.arange(16).expand(16, 16)
    return torch.stack([level - ramp * (level % 7) for level in levels]).to(torch.uint8)


def held_out(*videos: Tensor) -> Reference:
    """The reference of a training that holds these videos out."""
    frames, reference = HeldOut(SCORING), Reference()
    for number, video in enumerate(videos):
        count = torch.full((len(video),), number)
        batch = ClipBatch(video[:, None, None], count, torch.arange(len(video)), count)
        target = video[:, None].float() / 127.5 - 1
        frames.add(batch, target * 0.9, target)
    guard = MemoryGuard(threshold="auto", quantile=0.5, scope="dataset", enabled=True)
    frames.calibrate(guard, Alarm(), reference)
    return reference


def test_a_stream_teaches_what_held_out_frames_of_the_same_pictures_teach() -> None:
    videos = film(100, 117, 117, 117, 140, 152), film(117, 117, 131, 150, 110)
    normal, learned = NormalPictures((16, 16)), Reference()
    for video in videos:
        normal.begin()
        for picture in video:
            normal.add(picture.expand(3, 16, 16).numpy())
    normal.teach(learned)
    expected = held_out(*videos)
    assert expected.still == 2
    for name, value in learned.state_dict().items():
        assert torch.allclose(value, expected.state_dict()[name], atol=0.02), name


def test_a_camera_of_another_size_is_reduced_to_the_networks_frame() -> None:
    picture = np.full((3, 48, 64), 100, np.uint8)
    picture[:, :, 32:] = 200
    small = normal_pictures.small_copy(picture, (16, 32))
    assert small.shape == (1, 64, 64)
    assert (small[0, :, :30] == 100).all()
    assert (small[0, :, 34:] == 200).all()


def test_the_sample_of_pictures_is_bounded_and_from_the_whole() -> None:
    sample = normal_pictures.PictureSample()
    for number in range(2200):
        sample.add([(0, number)], torch.full((1, 2, 2), float(number)))
    kept = torch.stack(list(sample.kept.values()))[:, 0, 0]
    assert normal_pictures.MOST_PICTURES <= len(kept) < 2 * normal_pictures.MOST_PICTURES
    assert kept[0] == 0
    assert kept[-1] > 2190
    assert len(kept.diff().unique()) == 1
