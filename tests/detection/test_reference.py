"""The reference of normal pictures: small copies, looks, ranges, and still runs."""

import pytest
import torch
from torch import Tensor

from memguard.detection.reference import Reference, differences, small, traits


def scene(seed: int, count: int) -> Tensor:
    """The same blocks in each picture, (count, 64, 64), with a little noise."""
    random = torch.Generator().manual_seed(seed)
    blocks = torch.rand(8, 8, generator=random).repeat_interleave(8, 0).repeat_interleave(8, 1)
    return blocks * 200 + torch.rand(count, 64, 64, generator=random) * 10


def rows(pictures: Tensor, video: Tensor | None = None) -> dict[str, Tensor]:
    video = torch.zeros(len(pictures)) if video is None else video
    follows = torch.cat([torch.tensor([False]), video[1:] == video[:-1]])
    compared = differences(torch.cat([pictures[:1], pictures[:-1]]), pictures)
    known = {name: value.where(follows, torch.nan) for name, value in compared.items()}
    return {"video": video} | traits(pictures) | known


def learned(pictures: Tensor, video: Tensor | None = None) -> Reference:
    reference = Reference()
    reference.learn(rows(pictures, video), pictures, frame_size=(48, 96))
    return reference


def test_a_small_picture_is_the_mean_of_each_block_in_grey() -> None:
    frames = torch.zeros(1, 3, 128, 256, dtype=torch.uint8)
    frames[0, 1, :2, :2] = 200  # half of the first block of 2 × 4 pixels, in green
    assert small(frames)[0, 0, :2].tolist() == pytest.approx([200 * 0.587 / 2, 0])
    grey = torch.full((1, 1, 30, 50), 7, dtype=torch.uint8)
    assert torch.equal(small(grey), torch.full((1, 64, 64), 7.0))


def test_each_look_is_stored_as_its_mean_and_rare_ones_are_not() -> None:
    day, night, rare = scene(0, 150), scene(1, 50), scene(2, 1)
    reference = learned(torch.cat([day, night, rare]))
    assert torch.allclose(reference.known_looks, torch.stack([day.mean(0), night.mean(0)]))


def test_a_darker_picture_of_the_same_scene_has_the_same_look() -> None:
    day = scene(0, 40)
    assert len(learned(torch.cat([day, day * 0.3])).known_looks) == 1


def test_ranges_leave_out_the_outermost_percent() -> None:
    pictures = scene(0, 1001)
    pictures[0] = 255
    low, high = learned(pictures).range("brightness")
    usual = pictures[1:].mean(dim=(1, 2))
    assert usual.min() <= low < high <= usual.max()


def test_a_still_run_is_counted_within_a_video() -> None:
    pictures = scene(0, 12)
    pictures[3:6] = pictures[2]
    pictures[8:] = pictures[7]  # also in the second video
    assert learned(pictures, torch.tensor([0] * 8 + [1] * 4)).still == 3
    assert learned(pictures, torch.tensor([0] * 12)).still == 4
    assert learned(scene(0, 5)).still == 0


@pytest.mark.parametrize("count", [1, 2])
def test_black_pictures_and_few_of_them_can_be_learned(count: int) -> None:
    reference = learned(torch.zeros(count, 64, 64))
    assert torch.equal(reference.known_looks, torch.zeros(1, 64, 64))


def test_a_checkpoint_stores_the_reference_and_an_old_one_loads_as_not_learned() -> None:
    reference, again = learned(scene(0, 20)), Reference()
    again.load_state_dict(reference.state_dict())
    assert again.learned
    assert torch.equal(again.known_looks, reference.known_looks)
    again.load_state_dict({})
    assert not again.learned
