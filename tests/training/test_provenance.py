"""The commit that stands beside a number is that of the code which made it, or none."""

import subprocess
from pathlib import Path

import pytest

from memguard.training.provenance import Provenance, _commit

IDENTITY = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *IDENTITY, *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def repository(folder: Path) -> Path:
    """A repository with one commit."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "readme.txt").write_text(folder.name)
    return commit(folder)


def commit(folder: Path) -> Path:
    """Commit all that is in a repository."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def package(folder: Path) -> Path:
    """Code in a folder."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose source is the package, as this one is."""
    checkout = repository(tmp_path / "checkout")
    package(checkout / "src" / "memguard")
    return commit(checkout)


def test_a_checkout_gives_its_commit_and_whether_code_changed(checkout: Path) -> None:
    code = checkout / "src" / "memguard"
    head = git(checkout, "rev-parse", "HEAD")
    (checkout / "notes.txt").write_text("beside the code")
    assert _commit(code) == head
    (code / "new.py").write_text("")
    assert _commit(code) == head + "+changes"


@pytest.mark.parametrize(
    "place",
    [
        ".venv/lib/python3.11/site-packages/memguard",
        "src/memguard",  # of another project that does not track it
    ],
)
def test_installed_inside_another_project_its_commit_is_not_ours(
    tmp_path: Path, place: str
) -> None:
    project = repository(tmp_path / "project")
    assert _commit(package(project / place)).startswith("unknown: memguard ")


def test_a_project_that_tracks_the_installed_package_gives_no_commit(tmp_path: Path) -> None:
    project = repository(tmp_path / "project")
    code = package(project / ".venv" / "site-packages" / "memguard")
    commit(project)
    assert _commit(code).startswith("unknown: memguard ")


def test_without_any_repository_there_is_no_commit(tmp_path: Path) -> None:
    commit = _commit(package(tmp_path / "memguard"))
    assert commit.endswith("does not run from its own git checkout")


def test_a_worktree_and_a_submodule_give_their_own_commit(checkout: Path, tmp_path: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    worktree = tmp_path / "worktree"
    git(checkout, "worktree", "add", "--quiet", "--detach", str(worktree))
    assert _commit(worktree / "src" / "memguard") == head

    project = repository(tmp_path / "project")
    allowed = ("-c", "protocol.file.allow=always")
    git(project, *allowed, "submodule", "--quiet", "add", str(checkout), "memguard")
    commit(project)
    assert _commit(project / "memguard" / "src" / "memguard") == head


def test_the_repository_of_a_hook_is_not_taken_for_ours(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    commit = _commit(checkout / "src" / "memguard")
    monkeypatch.undo()
    assert commit == git(checkout, "rev-parse", "HEAD")


def test_the_video_reader_is_named_with_its_version() -> None:
    versions = Provenance(seed=0).finish()["versions"]
    assert {"torch", "av"} < versions.keys()
    assert versions.keys() & {"decord2", "decord"}
