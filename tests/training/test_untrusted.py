"""Settings of somebody else's file: plain, few, and resolved within themselves."""

from typing import Any

import pytest

from memguard.training.untrusted import NotPlainError, plain_tree, resolve_references


def test_settings_are_as_many_and_as_long_as_settings_are() -> None:
    for fits in ({"a": ["x"] * 4000}, {"a": "x" * 4096}):
        assert plain_tree(fits) == resolve_references(fits) == fits
    for too_much in ({"a": ["x"] * 5001}, {"a": "x" * 4097}):
        with pytest.raises(NotPlainError):
            plain_tree(too_much)


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        ([1], "the configuration is no mapping"),
        ({"a": {"b": [0, 1j]}}, "a.b.1 holds a complex that is no plain value"),
        ({"a": 2**64}, "a holds a int that is no plain value"),
        ({"a": {"b c": 1}}, "the configuration has a key that is no name"),
    ],
)
def test_other_things_than_plain_values_are_refused_by_key(stored: Any, sentence: str) -> None:
    with pytest.raises(NotPlainError) as error:
        plain_tree(stored)
    assert str(error.value) == sentence


def test_references_that_multiply_are_refused() -> None:
    tree: dict[str, Any] = {"a0": ["x"] * 10}
    tree |= {f"a{n}": [f"${{a{n - 1}}}"] * 10 for n in range(1, 5)}
    with pytest.raises(NotPlainError, match="holds more"):
        resolve_references(tree)


def test_a_circle_of_references_stays_as_it_is() -> None:
    tree = {"a": "${b}", "b": "${a}", "c": "${d}", "d": 1}
    resolved = resolve_references(tree)
    assert resolved["c"] == 1
    assert {resolved["a"], resolved["b"]} <= {"${a}", "${b}"}
