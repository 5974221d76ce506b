"""The configuration is printed whole, apart from credentials."""

import re

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from memguard.report.config_tree import config_tree, print_config


def lines(config: dict[str, object], capsys: pytest.CaptureFixture[str]) -> list[str]:
    Console(width=120).print(config_tree(OmegaConf.create(config)))
    return [re.sub("^[│├└── ]+", "", line) for line in capsys.readouterr().out.splitlines()]


def test_every_value_is_printed_below_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    config = {
        "seed": 3, "memory": {"size": 7, "dim": "${seed}"}, "weights": None, "tags": ["a", "[b]"],
        "logger": {},
    }  # fmt: skip
    assert lines(config, capsys) == [
        "Configuration", "seed: 3", "memory", "size: 7", "dim: 3", "weights: null",
        "tags: ['a', '[b]']", "logger: {}",
    ]  # fmt: skip
    print_config(OmegaConf.create(config))
    assert "size: 7" in capsys.readouterr().out


def test_no_credential_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER", "hunter2")
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.setenv("DEVICES", "4")
    config = {
        "trainer": {"devices": "${oc.env:DEVICES}"},
        "paths": {"data_dir": "${oc.env:DATA}"},
        "dataset": {"root": "${paths.data_dir}/door"},
        "mine": "${oc.env:TRACKER}",
        "logger": {
            "a": {"api_key": "k3y", "headers": ["Bearer ${logger.a.api_key}"], "token": None},
            "b": {"uri": "https://me:pw@host/path", "login": "${mine}", "keys": 4},
            "c": {"options": {"password": {"value": "pw2"}}},
        },
    }
    printed = lines(config, capsys)
    assert not re.search("hunter2|k3y|me:pw|pw2", "\n".join(printed))
    for shown in (
        "devices: 4",
        "data_dir: /data", "root: /data/door", "mine: ***", "api_key: ***", "headers: ***",
        "token: null", "uri: https://***@host/path", "login: ***", "keys: 4", "value: ***",
    ):  # fmt: skip
        assert shown in printed
