"""Keep the progress of a training, whatever stops it."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from memguard.config.naming import resume_override, sweep_folder
from memguard.training.callbacks.ending import ends_here
from memguard.training.checkpoints import WholeFiles

SIGNALS = [signal.SIGTERM, signal.SIGINT]
if hasattr(signal, "SIGUSR1"):  # not on Windows
    # SLURM sends it before it takes a machine back: sbatch --signal=USR1@90.
    SIGNALS.append(signal.SIGUSR1)
# Processes agree only so often on whether to save or stop: each waits for the others.
STEPS_BETWEEN_AGREEMENTS = 10
# So soon a checkpoint that could not be written is tried again: a disk takes a while to be cleared.
MINUTES_TO_RETRY = 1.0

log = logging.getLogger(__name__)


class SafeCheckpoints(ModelCheckpoint):
    """Save after each epoch, every so many minutes, and when a signal stops the training.

    With ``every_n_epochs`` those epochs alone. The end of a training is saved in any case.

    ``last.ckpt`` is always the newest. A signal takes effect after the current step: a checkpoint
    from the middle of one could not resume. Ctrl-C once more stops at once. A checkpoint that
    could not be written stays due, and is tried again a minute later or at the end of an epoch.

    Args:
        every_minutes: The most that is lost where a machine dies; 0 saves after each step.
        options: As :class:`ModelCheckpoint` takes them.
    """

    def __init__(self, every_minutes: float, **options: Any) -> None:
        super().__init__(enable_version_counter=False, save_on_train_epoch_end=True, **options)
        self.every_minutes = every_minutes
        self._tried_at = 0.0
        self._saved_step = 0
        self._written = True  # the last one that was tried
        self._received: int | None = None
        self._stopping = False
        self._handlers: dict[int, Any] = {}

    @property
    def newest(self) -> Path:
        """Name the file that a training resumes from."""
        return Path(str(self.dirpath)) / "last.ckpt"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over which checkpoints an earlier part of the training has left in this folder.

        Lightning removes what it takes for an older checkpoint, whole folders and remote places
        included; a file may name no others.
        """
        super().load_state_dict(state_dict)
        own = {str(path) for path in self._in_own_folder()}
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            if getattr(self, name) not in own:
                setattr(self, name, "")
        self.best_k_models = {p: value for p, value in self.best_k_models.items() if p in own}

    def _in_own_folder(self) -> Iterator[Path]:
        folder = Path(str(self.dirpath))
        return folder.glob("*.ckpt")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen for signals from here on."""
        super().on_train_start(trainer, pl_module)
        self._tried_at, self._saved_step, self._written = time.monotonic(), 0, True
        self._received, self._stopping = None, False
        if threading.current_thread() is threading.main_thread():
            # A script's background jobs are to ignore Ctrl-C.
            handled = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._handlers = {number: signal.signal(number, self._receive) for number in handled}

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save if it is time or a signal came; an epoch's last step is followed by its end."""
        several = trainer.world_size > 1
        if (
            trainer.is_last_batch
            or ends_here(trainer)
            or (several and batch_idx % STEPS_BETWEEN_AGREEMENTS)
        ):
            return
        self._save_if_due(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the checkpoint of the epoch, and the newest one if it is due."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.monitor:  # else the best epoch alone would be saved
            self._save(trainer)
        self._save_if_due(trainer)

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        """Save when it is time or a signal came."""
        stop = trainer.strategy.reduce_boolean_decision(self._received is not None, all=False)
        minutes = self.every_minutes if self._written else min(self.every_minutes, MINUTES_TO_RETRY)
        late = time.monotonic() - self._tried_at >= 60 * minutes
        if trainer.strategy.reduce_boolean_decision(stop or late, all=False):
            self._save(trainer)
        self._stopping = stop

    def _save(self, trainer: pl.Trainer) -> None:
        """Save, unless this step is saved already."""
        if trainer.global_step != self._saved_step:
            trainer.save_checkpoint(self.newest)
            self._note_tried(trainer, self.newest)

    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        """Save as Lightning does, but count only a written checkpoint as saved."""
        before = self._last_global_step_saved, self._last_checkpoint_saved
        super()._save_checkpoint(trainer, filepath)
        self._note_tried(trainer, Path(filepath))
        if not self._written:
            self._last_global_step_saved, self._last_checkpoint_saved = before

    def _should_remove_checkpoint(self, trainer: pl.Trainer, previous: str, current: str) -> bool:
        """Keep the one before where its successor could not be written."""
        return self._written and super()._should_remove_checkpoint(trainer, previous, current)

    def _note_tried(self, trainer: pl.Trainer, path: Path) -> None:
        """Note whether a checkpoint was written: by the first process, for all of them."""
        files = trainer.strategy.checkpoint_io
        own = files.written if isinstance(files, WholeFiles) else True
        self._written = bool(trainer.strategy.broadcast(own))
        self._tried_at = time.monotonic()
        if self._written and path == self.newest:
            self._saved_step = trainer.global_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop, now that the loggers have the step before."""
        if self._stopping:
            self._leave(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop, now that the loggers have the epoch before."""
        if self._stopping:
            self._leave(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the last step, and restore the earlier handlers of signals."""
        # In place of Lightning's own, which does so only where it has never saved before.
        self._save(trainer)
        if self._saved_step != trainer.global_step and trainer.is_global_zero:
            log.warning("The training has ended. %s", self._left_by(trainer))
        self._stop_listening()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Restore the earlier handlers of signals."""
        super().on_exception(trainer, pl_module, exception)
        self._stop_listening()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number

    def _stop_listening(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _leave(self, trainer: pl.Trainer) -> None:
        """End the command, with the exit status that shells give to the signal."""
        number = signal.Signals(self._received or signal.SIGTERM)
        if trainer.is_global_zero:
            log.warning(
                "Stopped by %s after the step it came in. %s", number.name, self._left_by(trainer)
            )
        raise SystemExit(128 + number)

    def _left_by(self, trainer: pl.Trainer) -> str:
        """Name the checkpoint that the training can resume from."""
        # With weights, a new training would begin.
        in_place = getattr(trainer.lightning_module, "begun_from_weights", False)
        instead = " instead of weights" if in_place and sweep_folder() is None else ""
        resumes = f"the same command with {resume_override(self.newest)}{instead} resumes"
        if sweep_folder() is not None:
            return f"This job is trained again later: {resumes}."
        step = trainer.global_step
        if self._saved_step == step:
            return f"Nothing is lost: {resumes}."
        saved = _step_of(self.newest)
        if saved is not None:
            return (
                f"Step {step} is not saved, as its checkpoint could not be written: make room on "
                f"the disk; {resumes} from step {saved}."
            )
        begun = f"with checkpoint={trainer.ckpt_path} " if trainer.ckpt_path else ""
        return (
            f"Nothing of it is saved, as {self.newest} could not be written: make room on the disk "
            f"and train {begun}again."
        )


def _step_of(path: Path) -> int | None:
    """Read which step a checkpoint is of; None where there is no whole one."""
    try:
        return int(
            torch.load(path, weights_only=True, mmap=True, map_location="cpu")["global_step"]
        )
    except Exception:  # torch raises whatever its unpickler and zip reader meet
        return None
