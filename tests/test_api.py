"""The public API: a training and a test from Python are those of the command line."""

import inspect
import json
import re
from pathlib import Path

import pytest

import memguard
from memguard.errors import ConfigError

SMALL = [
    "dataset=folder", "model=mnad_tiny", "model.width=4", "memory.dim=32", "memory.size=4",
    "data.frame_size=32", "trainer.max_epochs=1", "logger=csv",
    "callbacks.pseudo_auroc.windows=2", "guard.threshold=0.02",
]  # fmt: skip


@pytest.mark.parametrize("name", memguard.__all__)
def test_every_name_has_an_example_and_every_method_a_docstring(name: str) -> None:
    public = getattr(memguard, name)
    assert re.search(r"^    Example:\n        >>> ", public.__doc__, re.MULTILINE)
    for method, value in vars(public).items():
        if inspect.isfunction(value) and not method.startswith("_"):
            assert value.__doc__, method


def test_a_training_and_its_test_from_python(
    shared_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMGUARD_CACHE", str(tmp_path / "cache"))
    config = memguard.compose([*SMALL, f"dataset.root={shared_scene}"])
    trained = memguard.train(config, tmp_path / "run")
    assert trained == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (tmp_path / "run" / "curves" / "metrics.csv").exists()

    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    test = memguard.compose([f"checkpoint={checkpoint}", "logger=csv"], "evaluate")
    tested = memguard.evaluate(test, folder=str(tmp_path / "test"))
    assert tested["test/auroc"] == trained["test/auroc"]
    assert (tmp_path / "test" / "scores.csv").read_text() == (
        tmp_path / "run" / "scores.csv"
    ).read_text()

    # Nothing that is computed is lost.
    config = memguard.compose([*SMALL, f"dataset.root={shared_scene}", "seed=1"])
    with pytest.raises(ConfigError, match="run holds the results of another run already"):
        memguard.train(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["memory.siez=3"], r"memory.siez is not known: did you mean memory.size\?"),
        (["dataset=ped3"], "ped3"),
        (["=3"], "=3"),
    ],
)
def test_what_cannot_be_composed_is_a_sentence(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refusal:
        memguard.compose(overrides)
    assert "\n" not in str(refusal.value)
