"""Download datasets that their authors publish, check them, and unpack them.

An interrupted download resumes where it ended. A file counts as fetched once its SHA-256 sum is
that of the release, and an archive writes no file outside the dataset's folder.
"""

import hashlib
import logging
import os
import platform
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from memguard.data.datasets.benchmark import Benchmark
from memguard.errors import DataError

log = logging.getLogger(__name__)

CHUNK = 2**20
TIMEOUT = 60.0
ATTEMPTS = 5


@dataclass(frozen=True)
class Archive:
    """A file of a release.

    Attributes:
        url: The address of the file.
        sha256: The SHA-256 sum of the file, in hexadecimal digits.

    Example:
        >>> Archive("http://www.svcl.ucsd.edu/anomaly/UCSD.tar.gz", sha256="2329…").name
        'UCSD.tar.gz'
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return PurePosixPath(self.url).name


UCSD = Archive(
    "http://www.svcl.ucsd.edu/projects/anomaly/UCSD_Anomaly_Dataset.tar.gz",
    "2329af326951f5097fdd114c50e853957d3e569493a49d22fc082a9fd791915b",
)
AVENUE = "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal"
RELEASES: dict[str, tuple[Archive, ...]] = {
    "ped1": (UCSD,),
    "ped2": (UCSD,),
    "avenue": (
        Archive(
            f"{AVENUE}/Avenue_Dataset.zip",
            "fc9cb8432a11ca79c18aa180c72524011411b69d3b0ff27c8816e41c0de61531",
        ),
        Archive(
            f"{AVENUE}/ground_truth_demo.zip",
            "60fec1728ec8f73a58aad3aeb5729d70a805a47e0b8eb4bf91ab67ef06386d77",
        ),
    ),
}
BY_HAND = {
    "shanghaitech": (
        "its authors publish it on https://svip-lab.github.io/dataset/campus_dataset.html; unpack "
        "it to training/videos/01_001.avi, testing/frames/01_0014/000.jpg, "
        "testing/test_frame_mask/01_0014.npy and testing/test_pixel_mask/01_0014.npy"
    ),
}


def download(dataset: str, root: Path, find: Callable[[], Benchmark]) -> None:
    """Download a dataset into its folder, unless it is there already.

    Args:
        dataset: The name of the dataset, as in ``dataset=``.
        root: The folder of the dataset.
        find: Finds the videos and labels in that folder, or raises ``DataError``.

    Raises:
        DataError: If the dataset cannot be downloaded, or an archive cannot be fetched, has another
            sum than the release, or cannot be unpacked.
    """
    if dataset not in RELEASES:
        reason = BY_HAND.get(dataset, "no release of this dataset is known; put your videos there")
        raise DataError(f"{root}: dataset={dataset} cannot be downloaded: {reason}.")
    if _is_there(RELEASES[dataset], root, find):
        log.info("%s: dataset=%s is there already; nothing is fetched", root, dataset)
        return
    for archive in RELEASES[dataset]:
        done = root / f".{archive.name}.unpacked"
        if not done.exists():
            unpack(fetch(archive, root), root)
            done.touch()
            (root / archive.name).unlink()


def _is_there(release: Iterable[Archive], root: Path, find: Callable[[], Benchmark]) -> bool:
    """Return whether a dataset is complete; an archive stays until it is unpacked."""
    archives = [root / archive.name for archive in release]
    if any(path.exists() for path in (*archives, *map(_partial, archives))):
        return False
    try:
        find()
    except DataError:
        return False
    return True


def _partial(target: Path) -> Path:
    """Name the file that holds a part of another until that is fetched."""
    return target.with_name(f"{target.name}.part")


def fetch(archive: Archive, folder: Path) -> Path:
    """Fetch a file, resuming an earlier attempt, and check its sum.

    Args:
        archive: The file to fetch.
        folder: The folder to fetch it to.

    Returns:
        The fetched file.

    Raises:
        DataError: If the server cannot be reached or does not have the file, or the sum is wrong; a
            file with a wrong sum is removed.
    """
    target = folder / archive.name
    partial = _partial(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists():  # put there by the user, or not unpacked yet
            os.replace(target, partial)
        else:
            _fetch_all(archive.url, partial)
    except (OSError, HTTPException) as error:
        raise DataError(
            f"{archive.url}: this cannot be fetched into {folder} ({error}); try again, which "
            f"resumes the download, or put the file there yourself as {target}"
        ) from error
    found = _sha256(partial)
    if found != archive.sha256:
        partial.unlink()
        raise DataError(
            f"{archive.url}: the file fetched has the SHA-256 sum {found}, expected "
            f"{archive.sha256}; it was removed: try again, or check whether its authors changed it"
        )
    os.replace(partial, target)
    return target


def _fetch_all(url: str, partial: Path) -> None:
    """Append to a file until it is complete; connect again after an interruption."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), transient=True) as progress:
        task = progress.add_task(PurePosixPath(url).name, total=None)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                for done, total in _fetch_on(url, partial):
                    progress.update(task, completed=done, total=total)
                return
            except HTTPError:  # the server has answered, and another attempt gets the same answer
                raise
            except (OSError, HTTPException):
                if attempt == ATTEMPTS:
                    raise


def _fetch_on(url: str, partial: Path) -> Iterator[tuple[int, int | None]]:
    """Fetch the missing bytes, and yield the number of bytes so far and in total."""
    done = partial.stat().st_size if partial.exists() else 0
    request = Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:  # no byte is missing
            return
        raise
    with answer, partial.open("ab") as file:
        if answer.status != 206:  # a server that always sends the whole file
            done = 0
            file.truncate(0)
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length else None
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            yield done, total
    # The end of a truncated body raises no error.
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke off after {done} of {total} bytes")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip archive, completely or not at all.

    Args:
        archive: The archive.
        folder: The folder to unpack it to.

    Raises:
        DataError: If the archive is damaged, or has a path, link or device outside the folder.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as scratch:
            if zipfile.is_zipfile(archive):
                _unzip(archive, Path(scratch))
            else:
                with tarfile.open(archive) as tar:
                    _require_filter()
                    tar.extractall(scratch, filter="data")
            shutil.copytree(scratch, folder, dirs_exist_ok=True, copy_function=os.replace)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{archive}: this archive cannot be unpacked ({error}); remove it and fetch it again"
        ) from error


def _require_filter() -> None:
    """Refuse archives where Python cannot keep their members inside the folder."""
    if not hasattr(tarfile, "data_filter"):
        raise DataError(
            f"Python {platform.python_version()} cannot unpack tar archives safely: use 3.10.12, "
            "3.11.4 or later, or unpack the archive by hand."
        )


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            path = PurePosixPath(member.filename.replace("\\", "/"))
            kind = stat.S_IFMT(member.external_attr >> 16)
            if (
                path.is_absolute()
                or ".." in path.parts
                or kind not in (0, stat.S_IFREG, stat.S_IFDIR)
            ):
                raise zipfile.BadZipFile(f"{member.filename!r} leads out of the folder")
        file.extractall(folder)
