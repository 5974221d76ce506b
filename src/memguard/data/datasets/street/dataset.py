"""The street as a dataset: generate it once, then read it as a folder."""

from pathlib import Path

from filelock import FileLock

from memguard.data.datasets.benchmark import Benchmark
from memguard.data.datasets.folder import folder
from memguard.data.datasets.street.film import generate, is_complete


def street(root: Path | str) -> Benchmark:
    """Find the street scene, and generate it if it is not there yet.

    :mod:`memguard.data.datasets.street` describes the scene; its layout is that of
    :func:`~memguard.data.datasets.folder.folder`.

    Args:
        root: The folder of the dataset.

    Raises:
        DataError: If the folder holds something else.
    """
    root = Path(root)
    if not is_complete(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_name(f".{root.name}.lock")):  # several processes may need it
            if not is_complete(root):
                generate(root)
    return folder(root, name="street")
