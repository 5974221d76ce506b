import numpy as np
import pytest

from memguard.report.recorder import Thumbnails, choose_candidates
from memguard.scoring import anomaly_score


def test_thumbnails_keep_within_their_limit_and_stay_spread_over_the_frames() -> None:
    thumbnails = Thumbnails(limit=20_000)
    picture = np.zeros((1, 32, 32), dtype=np.uint8)
    for frame in range(400):
        if thumbnails.wants(frame):
            thumbnails.add(0, frame, picture, (32, 32))
    kept = thumbnails.of_video(0)
    assert sum(map(len, kept.values())) <= 20_000
    assert list(kept) == list(range(0, 400, thumbnails.step))
    assert len(kept) > 8


def test_the_highest_published_score_is_always_among_the_candidates() -> None:
    rng = np.random.default_rng(0)
    for length in (1, 2, 3, 20, 300):
        psnr, distance = rng.normal(30, 3, length).round(1), rng.exponential(1, length).round(1)
        chosen = choose_candidates(psnr, distance, patch=rng.random(length))
        assert len(chosen) < 20
        for weight in np.linspace(0, 1, 21):
            score = anomaly_score(psnr, distance, ["a"] * length, weight)
            assert score[chosen].max() == pytest.approx(score.max(), abs=1e-12)
