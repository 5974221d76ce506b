"""The console command: each of its commands is that of ``python -m``."""

import runpy
import sys
from typing import Any

import pytest

from memguard import cli


def test_a_command_is_the_module_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(runpy, "run_module", lambda name, **how: ran.append((name, sys.argv[1:])))
    monkeypatch.setattr(sys, "argv", ["memguard", "import-official", "task=recon", "model=a.pth"])
    cli.main()
    assert ran == [("memguard.import_official", ["task=recon", "model=a.pth"])]


def test_a_command_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["memguard", "trian", "seed=1"])
    with pytest.raises(SystemExit, match="no command trian: choose from train, evaluate"):
        cli.main()


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_the_commands(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["memguard", *words])
    cli.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:-2]] == list(cli.COMMANDS)
    assert cli.COMMANDS["import-official"] in lines[-3]
