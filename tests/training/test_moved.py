from hydra.utils import get_object

from memguard.training.moved import MOVED


def test_every_present_place_exists_and_has_not_moved_again() -> None:
    for place in MOVED.values():
        assert get_object(place)
    assert not MOVED.keys() & MOVED.values()
