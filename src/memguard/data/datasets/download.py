"""Datasets that their authors publish openly: fetched, checked and unpacked.

A download that broke off goes on where it ended. Nothing counts as fetched before its SHA-256 sum
is that of the release, and an archive writes nothing outside the dataset's folder.
"""

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from memguard.errors import DataError

CHUNK = 2**20
TIMEOUT = 60.0
ATTEMPTS = 5


@dataclass(frozen=True)
class Archive:
    """A file of a release.

    Attributes:
        url: Where its authors publish it.
        sha256: Its sum, in hexadecimal digits.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """What the file is called."""
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
        "its authors hand it out on https://svip-lab.github.io/dataset/campus_dataset.html; unpack "
        "it so that there are training/videos/01_001.avi, testing/frames/01_0014/000.jpg, "
        "testing/test_frame_mask/01_0014.npy and testing/test_pixel_mask/01_0014.npy in it"
    ),
}


def download(dataset: str, root: Path) -> None:
    """Fetch a dataset into its folder, unless it is there already.

    Args:
        dataset: As ``dataset=`` names it.
        root: The dataset's folder.

    Raises:
        DataError: The dataset is not offered for download, or an archive cannot be fetched, is not
            the one of the release, or cannot be unpacked.
    """
    if dataset not in RELEASES:
        reason = BY_HAND.get(dataset, "no release of this dataset is known; put your videos there")
        raise DataError(f"{root}: dataset={dataset} cannot be downloaded: {reason}.")
    for archive in RELEASES[dataset]:
        done = root / f".{archive.name}.unpacked"
        if not done.exists():
            unpack(fetch(archive, root), root)
            done.touch()
            (root / archive.name).unlink()


def fetch(archive: Archive, folder: Path) -> Path:
    """Fetch a file, going on where an earlier attempt broke off, and check its sum.

    Returns:
        The file in the folder.

    Raises:
        DataError: The server cannot be reached or does not have the file, or the sum is wrong; a
            file with a wrong sum is not kept.
    """
    target = folder / archive.name
    partial = target.with_name(f"{target.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists():  # put there by hand, or not unpacked yet
            os.replace(target, partial)
        else:
            _fetch_all(archive.url, partial)
    except (OSError, HTTPException) as error:
        raise DataError(
            f"{archive.url}: this cannot be fetched into {folder} ({error}); try again, which goes "
            f"on where it broke off, or put the file there yourself as {target}"
        ) from error
    found = _sha256(partial)
    if found != archive.sha256:
        partial.unlink()
        raise DataError(
            f"{archive.url}: the file fetched has the SHA-256 sum {found}, expected "
            f"{archive.sha256}; it was removed: try again, or look whether its authors changed it"
        )
    os.replace(partial, target)
    return target


def _fetch_all(url: str, partial: Path) -> None:
    """Append to a file until it is whole; a connection that breaks off is made anew."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), transient=True) as progress:
        task = progress.add_task(PurePosixPath(url).name, total=None)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                for done, total in _fetch_on(url, partial):
                    progress.update(task, completed=done, total=total)
                return
            except HTTPError:  # an answer, and no better one is to be had
                raise
            except (OSError, HTTPException):
                if attempt == ATTEMPTS:
                    raise


def _fetch_on(url: str, partial: Path) -> Iterator[tuple[int, int | None]]:
    """Fetch what is missing, and yield how many bytes there are, and how many there will be."""
    done = partial.stat().st_size if partial.exists() else 0
    request = Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:  # nothing is missing any more
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
    # A body that ends too early ends like any other.
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke off after {done} of {total} bytes")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip archive, all of it or nothing.

    Raises:
        DataError: It is damaged, or has a path, link or device that leads out of the folder.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as scratch:
            if zipfile.is_zipfile(archive):
                _unzip(archive, Path(scratch))
            else:
                with tarfile.open(archive) as tar:
                    tar.extractall(scratch, filter="data")
            shutil.copytree(scratch, folder, dirs_exist_ok=True, copy_function=os.replace)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{archive}: this archive cannot be unpacked ({error}); remove it and fetch it anew"
        ) from error


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
