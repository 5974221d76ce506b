"""The commands of the README and the code of the page Extend, run as a reader runs them."""

import json
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import moving_square, write_video
from tests.end_to_end.conftest import Ended, run_modules

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXTEND = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")

# A network that trains in a moment, in place of the minutes that readers have.
SMALL = [
    "trainer.max_epochs=1", "data.frame_size=32", "data.threads=1", "logger=csv", "model.width=4",
    "memory.dim=32",
]  # fmt: skip
UNTESTED = ["trainer.max_steps=1", "test=false"]
CHECKPOINT = "runs/…/checkpoints/last.ckpt"

pytestmark = pytest.mark.slow


def commands(page: str, module: str) -> list[list[str]]:
    """The overrides of each command of a page that runs a module of memguard."""
    lines = [line for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
             for line in block.replace("\\\n", " ").splitlines()]  # fmt: skip
    words = [shlex.split(line, comments=True) for line in lines]
    start = ["python", "-m", f"memguard.{module}"]
    return [command[3:] for command in words if command[:3] == start]


def write_ped2(root: Path) -> None:
    """Ped2 in the papers' layout, of a few frames that a square crosses."""
    for split, videos in (("training", 2), ("testing", 1)):
        for video in range(videos):
            folder = root / split / "frames" / f"{video + 1:02}"
            folder.mkdir(parents=True)
            for number, frame in enumerate(moving_square(24, seed=video)):
                Image.fromarray(frame).save(folder / f"{number + 1:03}.jpg")
    np.save(root / "frame_labels_ped2.npy", np.arange(24) > 15)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the data and the code that the pages speak of."""
    write_ped2(tmp_path / "data" / "ped2")
    for name in ("door/train/1", "door/train/2", "office/day/1", "office/day/2", "office/night/1"):
        write_video(tmp_path / f"{name}.mp4", moving_square(24))
    write_video(tmp_path / "door.mp4", moving_square(24, seed=3))
    assert write_files(EXTEND, tmp_path) == [
        "my_pkg/parts.py", "my_conf/model/patches.yaml", *["my_pkg/parts.py"] * 2,
        "my_conf/loss/dark.yaml", *["my_pkg/parts.py"] * 3,
        "my_conf/experiment/mine.yaml", "train_door.py",
    ]  # fmt: skip
    return tmp_path


def small(words: list[str], folder: str, *more: str) -> tuple[str, list[str]]:
    """Shrink a training."""
    where = f"hydra.{'sweep' if '-m' in words else 'run'}.dir=runs/{folder}"
    return "train", [*words, *SMALL, *more, where]


def without_width(command: tuple[str, list[str]]) -> tuple[str, list[str]]:
    """Leave out the setting of memguard's network that another one does not have."""
    return command[0], [word for word in command[1] if word != "model.width=4"]


def of_run(words: list[str], folder: Path) -> list[str]:
    """Name the checkpoint of a run."""
    path = folder / "checkpoints" / "last.ckpt"
    return [word.replace(CHECKPOINT, str(path)) for word in words]


def write_files(page: str, folder: Path) -> list[str]:
    """Write the code of a page that has a file's name; blocks of one file are joined."""
    blocks = re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', page, re.DOTALL)
    for name, code in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(code)
    (folder / "my_pkg" / "__init__.py").touch()
    return [name for name, _ in blocks]


def require_success(ended: list[Ended]) -> None:
    for command in ended:
        assert command.status == 0, command.said


def test_commands_of_the_readme_and_of_the_page_extend_run(home: Path) -> None:
    variables = {"MEMGUARD_DATA": str(home / "data"), "MEMGUARD_CACHE": str(home / "cache")}
    fetch = commands(README, "prepare")[0]
    research, sweep, camera, memory = commands(README, "train")
    assert fetch == ["dataset=ped2", "download=true"]
    assert sweep[-2:] == ["memory.size=5,10,20", "seed=0,1,2"]
    assert memory == ["memory._target_=my_pkg.SlowMemory"]
    *parts, mine = commands(EXTEND, "train")
    files = ("experiment/mine.yaml", "model/patches.yaml")
    settings = "".join((home / "my_conf" / file).read_text() for file in files)
    assert len(parts) == 8
    *own, shipped = sorted(parts, key=lambda overrides: overrides[0].startswith("loss=["))
    for overrides in own:  # mine is all of them together
        names = [word.partition("=")[2] for word in overrides if "=" in word]
        assert any(name in settings for name in names)
    trained = run_modules(
        home,
        ("prepare", ["dataset=ped2"]),
        small(research, "research", *UNTESTED),
        small([*sweep[:-2], "memory.size=5,10", "seed=0"], "sweep", *UNTESTED),
        small(camera, "camera", *UNTESTED, "data.holdout=0.5"),
        small(shipped, "shipped", *UNTESTED, "model=mnad_tiny", "data.frame_size=48"),
        without_width(small(mine, "mine", "data.holdout=0.6")),
        variables=variables,
    )
    require_success(trained)
    assert len(list((home / "runs" / "sweep").glob("*/checkpoints/last.ckpt"))) == 2
    metrics = json.loads((home / "runs" / "mine" / "metrics.json").read_text())
    assert "test/auroc_patch_distance" in metrics
    assert metrics["test/frames_anomalous"] == 20  # of 24, the first four have no past

    weights, patch = commands(README, "evaluate")
    assert (ROOT / weights[0].removeprefix("checkpoint=")).is_file()
    (door,) = commands(README, "score")
    (trusting,) = commands(EXTEND, "evaluate")
    (watching,) = commands(EXTEND, "score")
    *accepted, rejected = run_modules(
        home,
        ("evaluate", of_run(patch, home / "runs" / "research")),
        ("score", of_run(door, home / "runs" / "camera")),
        ("evaluate", of_run(trusting, home / "runs" / "mine")),
        ("score", of_run(watching, home / "runs" / "mine")),
        ("evaluate", of_run(trusting[:-1], home / "runs" / "mine")),
        variables=variables,
    )
    require_success(accepted)
    assert list(home.rglob("annotated.mp4"))
    assert trusting[-1] == "trust=my_pkg"
    assert rejected.status == 1
    assert "trust=my_pkg" in rejected.said


def test_make_targets_of_the_readme_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"\bmake ([a-z]+)\b(?!,)", README))
    assert {"demo", "test", "docs"} <= named <= set(targets)


def test_the_script_of_the_page_extend_trains_from_python(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home / "door" / "train", home / "door" / "test")
    script = home / "train_door.py"
    script.write_text(script.read_text().replace("max_epochs=10", "max_steps=2"))
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(home)
    # Another test may have imported its own package of this name.
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_pkg"]:
        monkeypatch.delitem(sys.modules, name)
    runpy.run_path(str(script), run_name="__main__")
    assert "guard/threshold" in capsys.readouterr().out
