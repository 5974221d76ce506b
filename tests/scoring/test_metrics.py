"""The metrics against values computed by hand, another library, and several processes."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from memguard.scoring.metrics import FrameAP, FrameAUROC, FrameEER, FrameTable, frame_auroc


def frames(seed: int = 0, count: int = 200) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count)
    score = 30 * rng.random(count) + 12 * label - 300
    return torch.tensor(score), torch.tensor(label), torch.tensor(rng.integers(0, 4, count))


def test_micro_auroc_is_the_chance_that_an_anomalous_frame_scores_higher() -> None:
    score, label, video = frames()
    metric = FrameAUROC()
    metric.update(score[:50], label[:50], video[:50])
    metric.update(score[50:], label[50:], video[50:])
    u = mannwhitneyu(score[label == 1], score[label == 0]).statistic
    expected = u / (int((label == 1).sum()) * int((label == 0).sum()))
    assert float(metric.compute()) == pytest.approx(expected)


def test_frame_auroc_is_micro_without_videos_and_macro_with_them() -> None:
    score, label = torch.tensor([1, 2, 3, 8, 9, 7]), torch.tensor([0, 1, 0, 1, 1, 0])
    assert frame_auroc(score, label) == pytest.approx(7 / 9)
    video = torch.tensor([0, 0, 0, 5, 5, 5])
    assert frame_auroc(score, label, video) == pytest.approx((1 / 2 + 1) / 2)


def test_large_scores_are_no_logits() -> None:
    metric = FrameAUROC()
    metric.update(
        torch.tensor([500.0, 600.0, 700.0, 800.0]), torch.tensor([0, 0, 1, 1]), torch.zeros(4)
    )
    assert float(metric.compute()) == 1


def test_macro_is_the_mean_over_videos_with_both_classes_and_names_the_others() -> None:
    score = torch.tensor([0.1, 0.9, 0.9, 0.1, 0.5, 0.6])
    label = torch.tensor([0, 1, 0, 1, 1, 1])
    video = torch.tensor([0, 0, 1, 1, 7, 7])
    metric = FrameAUROC(average="macro")
    metric.update(score, label, video)
    assert float(metric.compute()) == pytest.approx(0.5)
    assert metric.one_class_videos() == [7]


@pytest.mark.parametrize("metric", [FrameAUROC(), FrameAUROC("macro"), FrameAP(), FrameEER()])
def test_one_class_alone_gives_nan(metric: FrameAUROC) -> None:
    metric.update(torch.rand(5), torch.ones(5), torch.zeros(5))
    assert torch.isnan(metric.compute())


def test_eer_by_hand() -> None:
    # From the highest score down: anomalous, normal, anomalous, anomalous, normal, normal.
    score = torch.tensor([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    label = torch.tensor([1, 0, 1, 1, 0, 0])
    metric = FrameEER()
    metric.update(score, label, torch.zeros(6))
    assert float(metric.compute()) == pytest.approx(1 / 3)


def test_eer_between_two_points_is_interpolated() -> None:
    # ROC: (0, 0) (0, 1/2) (1, 1/2) (1, 1); it crosses missed = flagged at one half.
    metric = FrameEER()
    metric.update(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1, 0, 1]), torch.zeros(3))
    assert float(metric.compute()) == pytest.approx(0.5)


def test_the_table_orders_frames_and_counts_each_once() -> None:
    table = FrameTable(["psnr"])
    table.update(
        video=torch.tensor([1, 0, 0]), frame=torch.tensor([0, 9, 3]), psnr=torch.tensor([1.0, 2, 3])
    )
    table.update(video=torch.tensor([1]), frame=torch.tensor([0]), psnr=torch.tensor([1.0]))
    columns = table.compute()
    assert columns["video"].tolist() == [0, 0, 1]
    assert columns["frame"].tolist() == [3, 9, 0]
    assert columns["psnr"].tolist() == [3, 2, 1]


def _measure_in_group(rank: int, store: str, results: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    score, label, video = frames()
    mine = slice(0, 130) if rank == 0 else slice(130, None)
    values = []
    for metric in (FrameAUROC(), FrameAUROC("macro"), FrameAP(), FrameEER()):
        metric.update(score[mine], label[mine], video[mine])
        values.append(metric.compute())
    torch.save(torch.stack(values), f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_measure_what_one_would(tmp_path) -> None:
    torch.multiprocessing.spawn(_measure_in_group, (str(tmp_path / "store"), str(tmp_path)), 2)
    values = []
    for metric in (FrameAUROC(), FrameAUROC("macro"), FrameAP(), FrameEER()):
        metric.update(*frames())
        values.append(metric.compute())
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"{rank}.pt"), torch.stack(values))


def test_a_long_video_counts_no_more_in_the_macro_average_than_a_short_one() -> None:
    metric = FrameAUROC(average="macro")
    metric.update(
        torch.tensor([0.9, 0.1, 0.1, 0.2, 0.8, 0.9]),
        torch.tensor([0, 1, 0, 0, 1, 1]),
        torch.tensor([0, 0, 1, 1, 1, 1]),
    )
    assert float(metric.compute()) == pytest.approx((0 + 1) / 2)


def test_of_a_frame_that_came_in_twice_the_first_value_counts() -> None:
    table = FrameTable(["psnr"])
    for first, second in ((30.0, 31.0), (20.0, 21.0)):
        table.update(
            video=torch.tensor([0, 0]),
            frame=torch.tensor([4, 5]),
            psnr=torch.tensor([first, second]),
        )
    assert table.compute()["psnr"].tolist() == [30, 31]


def test_a_table_of_one_frame_has_rows() -> None:
    table = FrameTable(["psnr", "patch"])
    one = torch.tensor([3])
    table.update(video=one, frame=one, psnr=torch.tensor([20.0]), patch=torch.ones(1, 2, 2))
    rows = table.rows()
    assert {name: tuple(column.shape) for name, column in rows.items()} == {
        "video": (1,), "frame": (1,), "psnr": (1,), "patch": (1, 2, 2),
    }  # fmt: skip


def test_the_padded_macro_average_leaves_out_no_video() -> None:
    # Video 0: areas with both frames added by hand; video 4 is anomalous throughout.
    score = torch.tensor([3.0, 2.0, 1.0, 2.0, 5.0, 4.0])
    label = torch.tensor([0, 1, 0, 1, 1, 1])
    video = torch.tensor([0, 0, 0, 4, 4, 4])
    metric = FrameAUROC(average="macro_padded")
    metric.update(score, label, video)
    # Of pairs (anomalous, normal): 5 of 6 in video 0, all 4 in video 4.
    assert float(metric.compute()) == pytest.approx((5 / 6 + 1) / 2)


def test_padding_counts_in_units_of_the_whole_sets_scores() -> None:
    # The best video has the frame of the lowest score, which ties with the normal frame added.
    metric = FrameAUROC(average="macro_padded")
    metric.update(torch.tensor([-7.0, 9.0]), torch.tensor([1, 0]), torch.tensor([0, 1]))
    # Video 0: −7 ties with the 0, 1 beats it. Video 1: 9 ties with the 1 that beats the 0.
    assert float(metric.compute()) == pytest.approx((1.5 / 2 + 1.5 / 2) / 2)
