"""Fetching and unpacking, from a server on this machine."""

import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from memguard.data.datasets import download as module
from memguard.data.datasets.benchmark import Benchmark
from memguard.data.datasets.download import Archive, download, fetch, unpack
from memguard.errors import DataError

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(ThreadingHTTPServer):
    """Serves one file; `breaks` connections end in the middle of what they send."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True
        self.breaks = 0
        self.requested: list[str | None] = []

    def archive(self, content: bytes | None = None, name: str = "a.bin") -> Archive:
        self.content = self.content if content is None else content
        url = f"http://127.0.0.1:{self.server_port}/{name}"
        return Archive(url, hashlib.sha256(self.content).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        requested = self.headers.get("Range")
        self.server.requested.append(requested)
        if "missing" in self.path:
            self.send_error(404)
            return
        start = 0
        if requested and self.server.ranges:
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
        body = self.server.content[start:]
        if start and not body:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_file_is_fetched_whole(server: Server, tmp_path: Path) -> None:
    path = fetch(server.archive(), tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["a.bin"]


def test_a_broken_connection_is_resumed_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    server.breaks = 2
    assert fetch(server.archive(), tmp_path).read_bytes() == CONTENT
    assert server.requested == [None, "bytes=150000-", "bytes=225000-"]


def test_an_earlier_attempt_is_resumed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    assert fetch(server.archive(), tmp_path).read_bytes() == CONTENT
    assert server.requested == ["bytes=1000-"]


def test_an_earlier_attempt_that_was_whole_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert fetch(server.archive(), tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_afresh(server: Server, tmp_path: Path) -> None:
    server.ranges, server.breaks = False, 1
    assert fetch(server.archive(), tmp_path).read_bytes() == CONTENT


def test_a_connection_that_always_breaks_is_reported_and_the_part_stays(
    server: Server, tmp_path: Path
) -> None:
    server.breaks = 99
    with pytest.raises(DataError, match=r"a\.bin: this cannot be fetched .*broke off after"):
        fetch(server.archive(), tmp_path)
    assert 0 < (tmp_path / "a.bin.part").stat().st_size < len(CONTENT)
    assert not (tmp_path / "a.bin").exists()


def test_a_wrong_sum_is_reported_and_the_file_removed(server: Server, tmp_path: Path) -> None:
    wrong = Archive(server.archive().url, "0" * 64)
    found = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(DataError, match=f"sum {found}, expected {'0' * 64}"):
        fetch(wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_put_there_by_hand_is_checked_and_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert fetch(server.archive(), tmp_path).read_bytes() == CONTENT
    assert server.requested == []
    (tmp_path / "a.bin").write_bytes(b"other")
    with pytest.raises(DataError, match="SHA-256"):
        fetch(server.archive(), tmp_path)


def test_a_file_that_is_gone_is_reported_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.zip: .*404"):
        fetch(server.archive(name="missing.zip"), tmp_path)
    assert len(server.requested) == 1


def test_a_server_that_cannot_be_reached_is_reported(server: Server, tmp_path: Path) -> None:
    archive = server.archive()
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="refused"):
        fetch(archive, tmp_path)


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def tarred(*members: tuple[str, bytes, str]) -> bytes:
    """A tar.gz of (name, type, link target); files hold their own name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            text = name.encode() if kind == tarfile.REGTYPE else b""
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return buffer.getvalue()


FILE, LINK, HARD, DEVICE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE


def nothing() -> Benchmark:
    raise DataError("There are no videos.")


def test_a_dataset_is_fetched_unpacked_and_not_fetched_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tarred(("Set/Train/001.tif", FILE, ""), ("Set/Test/001.tif", FILE, ""))
    archive = server.archive(content, "set.tar.gz")
    monkeypatch.setitem(module.RELEASES, "ped2", (archive,))
    download("ped2", tmp_path / "ped2", nothing)
    assert (tmp_path / "ped2/Set/Train/001.tif").read_text() == "Set/Train/001.tif"
    assert not (tmp_path / "ped2/set.tar.gz").exists()
    download("ped2", tmp_path / "ped2", nothing)
    assert len(server.requested) == 1


def test_a_dataset_that_is_there_is_not_fetched_unless_its_archive_is_unfinished(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = tarred(("Set/Train/001.tif", FILE, ""))
    monkeypatch.setitem(module.RELEASES, "ped2", (server.archive(content, "set.tar.gz"),))
    found = lambda: Benchmark("ped2", (), ())  # noqa: E731
    with caplog.at_level("INFO"):
        download("ped2", tmp_path, found)
    assert caplog.messages == [f"{tmp_path}: dataset=ped2 is there already; nothing is fetched"]
    assert server.requested == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "set.tar.gz.part").write_bytes(content[:20])
    download("ped2", tmp_path, found)
    assert server.requested == ["bytes=20-"]
    assert (tmp_path / "Set/Train/001.tif").exists()
    (tmp_path / "Set/Train/001.tif").unlink()
    (tmp_path / ".set.tar.gz.unpacked").unlink()
    (tmp_path / "set.tar.gz").write_bytes(content)  # its unpacking was interrupted
    download("ped2", tmp_path, found)
    assert len(server.requested) == 1
    assert (tmp_path / "Set/Train/001.tif").exists()


def test_archives_join_in_one_folder(tmp_path: Path) -> None:
    for number in range(2):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(zipped(**{f"Set/{number}.txt": str(number)}))
        unpack(path, tmp_path)
    assert [(tmp_path / f"Set/{n}.txt").read_text() for n in range(2)] == ["0", "1"]


@pytest.mark.parametrize(
    "member",
    [
        ("../evil", FILE, ""),
        ("good/../../evil", FILE, ""),
        ("evil", LINK, "/etc/passwd"),
        ("evil", LINK, "../.."),
        ("evil", HARD, "../../evil"),
        ("evil", DEVICE, ""),
    ],
)
def test_a_tar_archive_cannot_reach_out(tmp_path: Path, member: tuple[str, bytes, str]) -> None:
    folder = tmp_path / "outer" / "set"
    folder.mkdir(parents=True)
    path = tmp_path / "evil.tar.gz"
    path.write_bytes(tarred(("fine.txt", FILE, ""), member))
    with pytest.raises(DataError, match=r"evil\.tar\.gz: this archive cannot be unpacked"):
        unpack(path, folder)
    assert list((tmp_path / "outer").rglob("*")) == [folder]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil", stat.S_IFREG),
        ("/evil", stat.S_IFREG),
        ("a\\..\\..\\evil", stat.S_IFREG),
        ("evil", stat.S_IFLNK),
        ("evil", stat.S_IFCHR),
    ],
)
def test_a_zip_archive_cannot_reach_out(tmp_path: Path, name: str, kind: int) -> None:
    folder = tmp_path / "outer" / "set"
    folder.mkdir(parents=True)
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fine.txt", "fine")
        member = zipfile.ZipInfo(name)
        member.external_attr = (kind | 0o644) << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match=r"evil\.zip: this archive cannot be unpacked"):
        unpack(path, folder)
    assert list((tmp_path / "outer").rglob("*")) == [folder]


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", zipped(a="a")[:40], tarred()[:20]],
    ids=["empty", "text", "zip cut off", "tar cut off"],  # archives hold the time of their making
)
def test_a_damaged_archive_is_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"set\.zip: this archive cannot be unpacked"):
        unpack(path, tmp_path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [("shanghaitech", "campus_dataset.html; unpack it to training"), ("mine", "no release")],
)
def test_a_dataset_without_download_is_reported_with_the_page_and_the_tree(
    tmp_path: Path, dataset: str, reason: str
) -> None:
    with pytest.raises(DataError, match=f"dataset={dataset} cannot be downloaded: .*{reason}"):
        download(dataset, tmp_path, nothing)
