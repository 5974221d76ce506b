"""Processes that run one command together, each on its own device.

torchrun, SLURM or Lightning starts them, and Lightning has them train and test as one. This module
adds the agreement on a run folder, the distribution of work and the exchange of results.

PyTorch and Lightning are imported where processes need them: commands that run alone have neither.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar

from memguard.errors import ConfigError

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
    from torch import nn
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented as public

Own = TypeVar("Own")

AGREED = "memguard/agreed"
# Variables of torchrun's processes, and of SLURM's steps.
LAUNCHED = {"TORCHELASTIC_RUN_ID", "SLURM_STEP_ID"}


def _launcher() -> "ClusterEnvironment | None":
    """Find the launcher of this process; None for a single process, or one of Lightning's."""
    if not LAUNCHED & os.environ.keys():
        return None
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    # A batch script has SLURM's other variables as well, though it is not one of several.
    in_step = "SLURM_STEP_ID" in os.environ
    return SLURMEnvironment() if in_step and SLURMEnvironment.detect() else None


@cache
def _store(launcher: "type[ClusterEnvironment]") -> "TCPStore":
    """Open the store that processes share before they form a group, and wait for all of them.

    torchrun serves it. Elsewhere the first process does, as long as it runs: the group meets at the
    same address later, and takes the same server.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    place = launcher()
    served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return TCPStore(
        place.main_address,
        place.main_port,
        place.world_size(),
        is_master=place.global_rank() == 0 and not served,
        multi_tenant=True,
    )


def agreed(decide: Callable[[], str]) -> str:
    """Share the decision of the first process with all that were started together.

    Args:
        decide: Called by the first process; the others receive its result.
    """
    launcher = _launcher()
    if launcher is None or launcher.world_size() == 1:
        return decide()
    store = _store(type(launcher))
    # Processes that torchrun restarts keep the decision.
    if launcher.global_rank() == 0 and not store.check([AGREED]):
        store.set(AGREED, decide())
    return store.get(AGREED).decode()


def devices() -> int | Literal["auto"]:
    """Count the processes that were started on each machine; ``auto``: one for each device."""
    launcher = _launcher()
    return "auto" if launcher is None else launcher.world_size() // nodes()


def nodes() -> int:
    """Count the machines that processes were started on."""
    launcher = _launcher()
    if launcher is None:
        return 1
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    if isinstance(launcher, SLURMEnvironment):
        return int(os.environ["SLURM_NNODES"])
    return launcher.world_size() // int(os.environ["LOCAL_WORLD_SIZE"])


def on_gpu(accelerator: str) -> bool:
    """Return whether ``accelerator`` will be a GPU: batch norm is synchronised on GPUs alone."""
    if accelerator == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


def alone_on_gpu(accelerator: str, devices: int | str) -> bool:
    """Return whether ``accelerator`` and ``devices`` will be one GPU of one machine."""
    return on_gpu(accelerator) and devices == 1 and nodes() == 1


def require_together(trainer: "pl.Trainer", *, in_sweep: bool) -> None:
    """Refuse processes that would each run the whole command.

    Args:
        trainer: As the command configures it.
        in_sweep: Whether this is a job of a sweep.

    Raises:
        ConfigError: Each of them would be a run of its own, or run the whole sweep.
    """
    launcher = _launcher()
    if launcher and launcher.world_size() != trainer.world_size:
        raise ConfigError(
            f"This command runs as {launcher.world_size()} processes, but trainer.devices × "
            f"trainer.num_nodes is {trainer.world_size}: add trainer=ddp, or start it once."
        )
    if in_sweep and trainer.num_devices > 1 and not launcher:
        raise ConfigError(
            f"trainer.devices={trainer.num_devices} cannot work in a sweep on this machine, as "
            "the other processes would start the sweep again: set trainer.devices=1, or have the "
            "jobs started by hydra/launcher=submitit_slurm with hydra.launcher.tasks_per_node="
            f"{trainer.num_devices}."
        )


def deal(sizes: Sequence[int], hands: int) -> list[list[int]]:
    """Distribute pieces of work evenly: the largest first, each to the process with least so far.

    Args:
        sizes: Of the pieces.
        hands: The number of processes.

    Returns:
        For each, the numbers of its pieces, in order; nothing where there are too few.

    Example:
        >>> deal([5, 3, 9, 2], 2)
        [[2], [0, 1, 3]]
    """
    dealt: list[list[int]] = [[] for _ in range(hands)]
    loads = [0] * hands
    for piece in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        least = loads.index(min(loads))
        dealt[least].append(piece)
        loads[least] += sizes[piece]
    return [sorted(pieces) for pieces in dealt]


def gathered(own: Own) -> list[Own]:
    """Gather the objects of all processes in the first one.

    Returns:
        In the first process all objects, by rank; in another, or a single process, its own.
    """
    from torch import distributed

    if not distributed.is_available() or not distributed.is_initialized():
        return [own]
    first = distributed.get_rank() == 0
    everything: list[Own] | None = [own] * distributed.get_world_size() if first else None
    distributed.gather_object(own, everything)
    return [own] if everything is None else everything


def gathered_everywhere(own: Own) -> list[Own]:
    """Gather the objects of all processes in each of them.

    Returns:
        All objects, by rank; in a single process, its own.
    """
    from torch import distributed

    if not distributed.is_available() or not distributed.is_initialized():
        return [own]
    everything: list[Own] = [own] * distributed.get_world_size()
    distributed.all_gather_object(everything, own)
    return everything


def share_buffers(module: "nn.Module") -> None:
    """Give every process the buffers of the first.

    Batch norm that is not synchronised keeps statistics of its own between training steps.
    """
    import torch
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        with torch.no_grad():
            for buffer in module.buffers():
                distributed.broadcast(buffer, src=0)
