"""Processes that train together: two of them equal one that has both their batches."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from torch import Tensor, distributed, nn
from torch.distributed import TCPStore
from torch.utils.data import DataLoader

from memguard.config.compose import config_folder, register_resolvers
from memguard.data.clips.frame_cache import FramesInMemory
from memguard.data.clips.segments import Segment
from memguard.data.clips.windows import ClipBatch, OrderedWindows
from memguard.detection.detector import Detector
from memguard.distributed import (
    _store,
    agreed,
    deal,
    devices,
    gathered,
    nodes,
    require_together,
    share_buffers,
)
from memguard.errors import ConfigError, UserError
from memguard.training.build import build_detector
from memguard.training.callbacks.processes import SameItems, Survivor

STEPS, WINDOWS = 6, 3


class Record(pl.Callback):
    """Notes the loss and the items after each step, and keeps batch norm as it is."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.items: list[Tensor] = []
        self.used: list[int] = []
        self.normal = torch.nan

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any
    ) -> None:
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))
        self.items.append(module.memory.items.clone())
        self.used.append(int(module.item_counts.gt(0).sum()))


class Spoil(pl.Callback):
    """Changes an item of the second process by one bit after its third step."""

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        if trainer.global_rank == 1 and trainer.global_step == 3:
            bits = module.memory.items[0].view(torch.int32)
            bits[0] ^= 1


def detector() -> Detector:
    register_resolvers()
    small = ["model=mnad_tiny", "model.width=4", "memory.dim=16", "optimizer.lr=1e-3"]
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", small)
    torch.manual_seed(0)
    model = build_detector(config)
    with torch.no_grad():  # items that lie among the queries, so that all are used
        frames, _ = model.eval().split(batches([0, 1])[0].frames)
        query = model(frames)[1].query.flatten(0, 1)
        model.memory.items = query[torch.randperm(len(query))[: len(model.memory.items)]]
    return model.train()


def batches(parts: Sequence[int]) -> list[ClipBatch]:
    """The batches of these processes, joined."""
    random = torch.Generator().manual_seed(1)
    shape = (STEPS, 2, WINDOWS, 5, 1, 16, 16)
    frames = torch.randint(256, shape, generator=random, dtype=torch.uint8)
    frames[:, 1] //= 8  # the processes differ, so that their queries are near different items
    number = torch.zeros(len(parts) * WINDOWS, dtype=torch.long)
    return [ClipBatch(step[list(parts)].flatten(0, 1), *[number] * 3) for step in frames]


def held_out(rank: int, processes: int) -> OrderedWindows:
    """Two normal videos in seven batches, which two processes cannot share evenly."""
    random = torch.Generator().manual_seed(2)
    videos = [
        FramesInMemory(torch.randint(256, (n, 1, 16, 16), generator=random, dtype=torch.uint8))
        for n in (23, 9)
    ]
    segments = [Segment(video, n, range(len(video))) for n, video in enumerate(videos)]
    return OrderedWindows(
        segments, length=5, batch_size=4, threads=0, rank=rank, world_size=processes
    )


def fit(parts: Sequence[int], processes: int, *callbacks: pl.Callback) -> tuple[Detector, Record]:
    model, record = detector(), Record()
    trainer = pl.Trainer(
        accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto",
        max_epochs=1, precision="32-true", logger=False, log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        use_distributed_sampler=False, callbacks=[record, *callbacks],
    )  # fmt: skip
    normal = held_out(parts[0], processes)
    trainer.fit(
        model, DataLoader(batches(parts), batch_size=None), DataLoader(normal, batch_size=None)
    )
    record.normal = float(trainer.callback_metrics["val/psnr"])
    return model, record


def _fit_in_group(rank: int, folder: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", str(rank))  # Lightning takes part in a group that is there
        distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
        )
        model, record = fit([rank], 2, SameItems())
        try:
            fit([rank], 2, Spoil(), SameItems())
        except UserError as error:
            reported = str(error)
        found = {name: getattr(record, name) for name in ("losses", "items", "used", "normal")}
        statistics = nn.BatchNorm1d(1)
        statistics.get_buffer("running_mean").fill_(5 + rank)
        share_buffers(statistics)
        found["shared"] = float(statistics.get_buffer("running_mean"))
        found["gathered"] = gathered(f"of {rank}")
        torch.save((model.state_dict(), found, reported), f"{folder}/{rank}.pt")
        distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The weights, the record and the reported error of each of two processes after training."""
    folder = tmp_path_factory.mktemp("group")
    torch.multiprocessing.spawn(_fit_in_group, (str(folder),), 2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def one() -> tuple[Detector, Record]:
    """The detector and record of one process after training on the joined batches."""
    return fit([0, 1], 1)


def test_two_processes_train_as_one_does_on_the_joined_batches(
    both: list[Any], one: tuple[Detector, Record]
) -> None:
    model, alone = one
    used = torch.tensor([record["used"] for _, record, _ in both])
    assert (used < torch.tensor(alone.used)).all(dim=0).any()  # each lacks queries for an item
    for weights, record, _ in both:
        assert record["losses"] == pytest.approx(alone.losses, abs=1e-6)
        for items, expected in zip(record["items"], alone.items, strict=True):
            assert torch.allclose(items, expected, rtol=0, atol=1e-6)
        for name, expected in model.state_dict().items():
            assert torch.allclose(weights[name], expected, atol=1e-5), name
    assert alone.losses[-1] != pytest.approx(alone.losses[0], abs=1e-3)


def test_two_processes_validate_as_one_does(both: list[Any], one: tuple[Detector, Record]) -> None:
    model, alone = one
    assert model.alarm.sample_counts[0] == 19 + 5
    for weights, record, _ in both:
        assert record["normal"] == pytest.approx(alone.normal, abs=1e-5)
        for name in ("guard.normal_scores", "alarm.normal_scores", "alarm.tail"):
            assert torch.allclose(weights[name], model.state_dict()[name], atol=1e-6), name


def test_items_are_the_same_to_the_bit_in_both_processes(both: list[Any]) -> None:
    ours, others = (record["items"] for _, record, _ in both)
    assert len(ours) == STEPS
    assert all(torch.equal(a, b) for a, b in zip(ours, others, strict=True))


def test_items_that_differ_stop_every_process_with_a_sentence(both: list[Any]) -> None:
    for _, _, reported in both:
        assert reported.startswith("After step 3 the memory's items of process 1 are not those of")


def test_buffers_are_the_first_processs_and_it_alone_gathers_from_all(both: list[Any]) -> None:
    first, second = (record for _, record, _ in both)
    assert first["shared"] == second["shared"] == 5
    assert first["gathered"] == ["of 0", "of 1"]
    assert second["gathered"] == ["of 1"]


def test_processes_that_would_not_train_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def trainer(devices: int) -> pl.Trainer:
        return pl.Trainer(
            accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
            logger=False, default_root_dir=tmp_path,
        )  # fmt: skip

    require_together(trainer(2), in_sweep=False)
    require_together(trainer(1), in_sweep=True)
    with pytest.raises(ConfigError, match=r"trainer\.devices=2 cannot work in a sweep"):
        require_together(trainer(2), in_sweep=True)
    for name, value in {
        "STEP_ID": "0", "NTASKS": "2", "NTASKS_PER_NODE": "2", "NNODES": "1", "PROCID": "0",
        "LOCALID": "0", "NODEID": "0", "JOB_NAME": "train",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"SLURM_{name}", value)
    require_together(trainer(2), in_sweep=True)  # as submitit starts its jobs
    with pytest.raises(ConfigError, match=r"runs as 2 processes, .* add trainer=ddp"):
        require_together(trainer(1), in_sweep=False)


def test_work_is_dealt_the_largest_first_and_in_order_to_each() -> None:
    assert deal([3, 5, 9, 2], 2) == [[2], [0, 1, 3]]
    assert deal([2, 2, 8, 7, 3], 3) == [[2], [3], [0, 1, 4]]
    assert deal([4], 2) == [[0], []]


def torchrun(monkeypatch: pytest.MonkeyPatch, **variables: object) -> None:
    """Have this process be one that torchrun started."""
    usual = {
        "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "RANK": 0, "LOCAL_RANK": 0, "GROUP_RANK": 0,
        "TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "localhost", "MASTER_PORT": 1,
    }  # fmt: skip
    for name, value in (usual | variables).items():
        monkeypatch.setenv(name, str(value))


def test_processes_and_those_that_torchrun_restarts_agree_on_the_firsts_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = TCPStore("localhost", 0, is_master=True)
    decisions = []
    for rank, decision in ((0, "first"), (1, "second"), (0, "restarted"), (1, "restarted")):
        torchrun(monkeypatch, RANK=rank, MASTER_PORT=served.port, TORCHELASTIC_USE_AGENT_STORE=True)
        _store.cache_clear()  # each process has its own
        decisions.append(agreed(lambda decision=decision: decision))
    _store.cache_clear()
    assert decisions == ["first"] * 4


def test_machines_are_counted_from_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (nodes(), devices()) == (1, "auto")
    torchrun(monkeypatch, WORLD_SIZE=6, LOCAL_WORLD_SIZE=3, RANK=4, LOCAL_RANK=1, GROUP_RANK=1)
    assert (nodes(), devices()) == (2, 3)


@pytest.mark.parametrize(
    ("error", "others"),
    [
        ("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed", 0),
        ("CUDA out of memory", 2),
    ],
)
def test_where_another_process_dies_the_first_is_not_killed_as_well(
    error: str, others: int
) -> None:
    waiting = [sys.executable, "-c", "import time; time.sleep(60)"]
    dead, alive, first = (subprocess.Popen(waiting) for _ in range(3))
    dead.kill()
    dead.wait()
    launcher = _SubprocessScriptLauncher(LightningEnvironment(), num_processes=3, num_nodes=1)
    launcher.procs.extend([dead, alive])
    observer = _ChildProcessObserver(first.pid, launcher.procs)
    trainer = cast(pl.Trainer, SimpleNamespace(strategy=SimpleNamespace(launcher=launcher)))
    try:
        Survivor().on_exception(trainer, pl.LightningModule(), RuntimeError(error))
        assert len(launcher.procs) == others
        assert observer._run()  # as its thread does every five seconds
        assert alive.wait(10) == -signal.SIGKILL
        if others:
            assert first.wait(10) == -signal.SIGKILL
        else:
            assert first.poll() is None
    finally:
        first.kill()
