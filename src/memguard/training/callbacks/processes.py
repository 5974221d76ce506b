"""Several processes in one training: one that dies, and items that drift apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from torch import Tensor, distributed

from memguard.config.naming import resume_override
from memguard.errors import TrainingError, UserError


@contextmanager
def lost_process_reported(newest: Path) -> Iterator[None]:
    """Turn the error of a process whose partner has died into a sentence.

    Args:
        newest: The checkpoint that the training resumes from.
    """
    try:
        yield
    except RuntimeError as error:
        if not _of_lost_process(error):
            raise
        resumes = (
            f"; the same command with {resume_override(newest)} resumes" if newest.exists() else ""
        )
        raise TrainingError(
            f"Another process of this training has ended, and this one cannot continue ({error}). "
            f"Look for the cause in the other's output, or in the system's log if it was killed"
            f"{resumes}."
        ) from error


def _of_lost_process(error: BaseException) -> bool:
    """Return whether this is an error of the connection to another process."""
    return any(library in str(error) for library in ("gloo/transport", "NCCL"))


class Survivor(pl.Callback):
    """Lets the first process of a machine close its files after another one has died.

    Lightning looks every five seconds whether a process that it started has died, and then kills
    the first one as well, even while it writes or reports.
    """

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """End the other processes here, and leave Lightning none to look after."""
        launcher = trainer.strategy.launcher
        if isinstance(launcher, _SubprocessScriptLauncher) and _of_lost_process(exception):
            for process in launcher.procs:
                process.kill()
            launcher.procs.clear()


class SameItems(pl.Callback):
    """Makes sure after each training step that the memory's items are the same in all processes.

    They are by construction; this is for those who change something, or do not trust a machine. It
    costs an all-gather of the items and a wait in each step.
    """

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """Compare them, bit by bit.

        Raises:
            UserError: They differ; in all processes alike, so that none waits for another.
        """
        if trainer.world_size == 1:
            return
        own: Tensor = pl_module.memory.items.detach()  # type: ignore[union-attr, operator]
        items = [torch.empty_like(own) for _ in range(trainer.world_size)]
        distributed.all_gather(items, own)
        strays = [n for n, of_process in enumerate(items) if not of_process.equal(items[0])]
        if strays:
            raise UserError(
                f"After step {trainer.global_step} the memory's items of process "
                f"{', '.join(map(str, strays))} are not those of process 0: discard this training. "
                "Make sure that every process runs the same code, versions and settings, "
                "and that nothing but Memory.update writes the items."
            )
