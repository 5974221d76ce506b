"""The study of a search: Optuna's record of its trials, which several processes may share."""

import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from hydra.conf import HydraConf
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryFailedTrialCallback  # type: ignore[attr-defined]
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

# Optuna 2.10 calls heartbeats and its queue experimental; the sweeper works with no later one.
warnings.filterwarnings("ignore", category=ExperimentalWarning)

# The trial that a job is, by its number in the storage.
TRIAL = "MEMGUARD_TRIAL"

# Seconds. A process that is silent for the second number is dead, and its trials are drawn again.
BEAT, SILENCE = 5, 30

# Seconds that a process waits for others to write into an SQLite file.
LOCKED = 60

# Processes that begin at once make the tables of a new storage at once; all but one fail.
ATTEMPTS = 5


def study_name(hydra: HydraConf) -> str:
    """Name the study: as configured, or by the sweep's folder."""
    return hydra.sweeper.study_name or Path(hydra.sweep.dir).name


def open_storage(hydra: HydraConf) -> RDBStorage:
    """Open the configured storage, or the file ``search.db`` in the sweep's folder.

    Args:
        hydra: Hydra's part of the configuration.

    Raises:
        SystemExit: The storage cannot be used. The sentence has no password of its address.
    """
    file = Path(hydra.sweep.dir).absolute() / "search.db"
    url = hydra.sweeper.storage or f"sqlite:///{file}"
    if not hydra.sweeper.storage:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        for _ in range(ATTEMPTS - 1):
            with suppress(DatabaseError):  # another process makes the tables
                return _connected(url)
            time.sleep(1)
        return _connected(url)
    except (SQLAlchemyError, ImportError) as error:
        with suppress(OSError):  # unless jobs are in it
            file.parent.rmdir()
        raise SystemExit(
            f"The storage of the search cannot be used ({_reason(error)}): correct "
            "MEMGUARD_STORAGE or hydra.sweeper.storage, an address of SQLAlchemy's such as "
            "postgresql://host/name; without one, the storage is a file in the sweep's folder."
        ) from None


def _connected(url: str) -> RDBStorage:
    waits = {"connect_args": {"timeout": LOCKED}} if url.startswith("sqlite") else None
    optuna.logging.set_verbosity(logging.WARNING)
    return RDBStorage(
        url,
        engine_kwargs=waits,
        heartbeat_interval=BEAT,
        grace_period=SILENCE,
        failed_trial_callback=RetryFailedTrialCallback(),
    )


def _reason(error: Exception) -> str:
    """Give the reason in one line; that of an address which is none would show it whole."""
    if isinstance(error, ArgumentError):
        return "SQLAlchemy does not know the address"
    return str(getattr(error, "orig", error)).splitlines()[0]


def trial_of_job(hydra: HydraConf, pruner: optuna.pruners.BasePruner) -> optuna.Trial | None:
    """Find the trial that this job is; None for a job of no search."""
    number = os.environ.get(TRIAL)
    if number is None:
        return None
    study = optuna.load_study(study_name(hydra), open_storage(hydra), pruner=pruner)
    return optuna.Trial(study, int(number))


@contextmanager
def alive(storage: RDBStorage, trials: Sequence[optuna.Trial]) -> Iterator[None]:
    """Record that this process is alive, for as long as the trials run.

    A process that stops to do so has its trials drawn again by another, or by its next start.
    """
    ended = threading.Event()

    def beat() -> None:
        while True:
            for trial in trials:
                storage.record_heartbeat(trial._trial_id)
            if ended.wait(BEAT):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
