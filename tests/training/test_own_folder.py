"""Folders of runs and sweeps: one for each command, and none that is written over."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, read_write

from memguard.config.compose import config_folder, register_resolvers
from memguard.training import own_folder
from memguard.training.own_folder import OwnFolder, WritableFolder


def composed(name: str, *words: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose(name, list(words), return_hydra_config=True)


def begin(name: str, *words: str) -> Path:
    """Begin a run, and give its folder."""
    config = composed(name, *words)
    OwnFolder().on_run_start(config, config_name=name)
    return Path(config.hydra.run.dir)


def begin_sweep(name: str, *words: str) -> tuple[Path, list[str]]:
    """Begin a sweep, and give its folder and the words that each of its jobs is composed with."""
    config = composed(name, *words)
    OwnFolder().on_multirun_start(config, config_name=name)
    return Path(config.hydra.sweep.dir), list(config.hydra.overrides.hydra)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_processes_that_want_one_name_get_a_folder_each() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: own_folder._made(Path("runs/now"), "key"), range(24)))
    names = ["now", *(f"now-{number}" for number in range(2, 25))]
    assert sorted(made) == sorted(Path("runs") / name for name in names)
    assert all(path.is_dir() for path in made)


@pytest.mark.parametrize("name", ["train", "evaluate", "score"])
def test_runs_and_sweeps_of_one_second_have_a_folder_each(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_folder, "agreed", lambda decide: decide())
    words = ["checkpoint=x.ckpt", "video=a.mp4"] if name == "score" else []
    configs = [composed(name, *words) for _ in range(3)]
    for config in configs:  # by one clock
        with read_write(config.hydra):
            config.hydra.run.dir = "runs/${hydra:runtime.choices.hydra/launcher}/now"
            config.hydra.sweep.dir = "runs/sweeps/now"
        OwnFolder().on_run_start(config, config_name=name)
        OwnFolder().on_multirun_start(config, config_name=name)
    runs = [config.hydra.run.dir for config in configs]
    assert runs == ["runs/basic/now", "runs/basic/now-2", "runs/basic/now-3"]
    assert configs[1].hydra.sweep.dir == "runs/sweeps/now-2"
    assert configs[1].hydra.overrides.hydra[-1] == "hydra.sweep.dir='runs/sweeps/now-2'"


def test_processes_that_were_started_together_share_the_folder_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_folder, "agreed", lambda decide: "runs/of_the_first")
    assert begin("train") == Path("runs/of_the_first")
    assert not Path("runs").exists()


def test_results_of_others_are_not_written_over() -> None:
    old, words = Path("old"), ("checkpoint=x.ckpt", "video=a.mp4")
    (old / "checkpoints").mkdir(parents=True)
    (old / ".hydra").mkdir()
    given = "hydra.run.dir=old"
    for name in ("train", "evaluate", "score"):  # nothing is in it yet
        assert begin(name, given, *(words if name == "score" else ())) == old
    last = old / "checkpoints" / "last.ckpt"
    last.touch()
    sentence = r"old holds results already \(last\.ckpt\), which this command would write over: "
    with pytest.raises(SystemExit, match=sentence + "leave hydra.run.dir out.*checkpoint=old/"):
        begin("train", given, "checkpoint=other/checkpoints/last.ckpt")
    with pytest.raises(SystemExit, match=sentence):
        begin("evaluate", given, f"checkpoint={last}")
    with pytest.raises(SystemExit, match=sentence):
        begin("score", given, f"checkpoint={last}", words[1])
    assert begin("train", given, f"checkpoint={last}") == old  # it resumes
    last.unlink()
    for result in ("metrics.json", "scores.csv", "a/events.json"):
        (old / result).parent.mkdir(exist_ok=True)
        (old / result).touch()
        with pytest.raises(SystemExit, match=rf"\({Path(result).name}\)"):
            begin("score", given, *words)
        (old / result).unlink()


def test_a_sweep_resumes_in_its_folder_unless_there_are_scores_of_videos_in_it() -> None:
    Path("sweep/a").mkdir(parents=True)
    Path("sweep/a/metrics.json").touch()
    assert begin_sweep("train", "hydra.sweep.dir=sweep") == (
        Path("sweep"), ["hydra.sweep.dir=sweep"],
    )  # fmt: skip
    Path("sweep/a/events.json").touch()
    with pytest.raises(SystemExit, match=r"sweep holds scores of videos .*\(a/events\.json\)"):
        begin_sweep("score", "checkpoint=x.ckpt", "video=a.mp4", "hydra.sweep.dir=sweep")


def test_a_folder_that_cannot_be_written_is_one_sentence() -> None:
    Path("file").touch()
    sentence = r"file/now\S*: this folder cannot be written \(Not a directory\); .* set hydra"
    for key, start in {"hydra.run.dir": begin, "hydra.sweep.dir": begin_sweep}.items():
        with pytest.raises(SystemExit, match=sentence):
            start("evaluate", f"{key}=file/now")
    with pytest.raises(SystemExit, match=sentence):
        own_folder._made(Path("file/now/now"), "hydra.run.dir")


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(own_folder.tempfile, "TemporaryFile", full)
    with pytest.raises(SystemExit, match=r"written \(No space left on device\); .* make room"):
        begin("evaluate")


def test_a_folder_on_a_full_disk_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full:
        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(own_folder.tempfile, "TemporaryFile", lambda dir: Full())
    with pytest.raises(SystemExit, match=r"new: this folder cannot be written \(No space left"):
        begin("train", "hydra.run.dir=new")


def test_a_service_needs_a_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = r"file/watch: this folder cannot be written .*, or set folder to another folder\."
    with pytest.raises(SystemExit, match=refused):
        WritableFolder().on_run_start(composed("watch", "folder=file/watch"))
    WritableFolder().on_run_start(composed("watch", "folder=new/watch"))
    assert (tmp_path / "new" / "watch").is_dir()
