"""Waiting threads sleep soon, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

TURNS = "20000"
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

IMPORTED = """
import os, sys
import memguard
assert "torch" not in sys.modules  # which brings OpenMP, and OpenMP reads its settings then
print(os.environ.get("GOMP_SPINCOUNT"))
"""


def spin_count(**variables: str) -> str:
    """Import memguard in a new process and return what OpenMP finds."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env=clean | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_threads_spin_briefly_before_torch_is_there() -> None:
    assert spin_count() == TURNS


@pytest.mark.parametrize(
    ("variables", "left"),
    [
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"),
        ({"KMP_BLOCKTIME": "0"}, "None"),
    ],
)
def test_settings_of_the_user_stay(variables: dict[str, str], left: str) -> None:
    assert spin_count(**variables) == left


def test_the_limit_reaches_gnu_openmp() -> None:
    # libgomp prints its settings, as hexadecimal numbers where they are not decimal, on request.
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    ran = subprocess.run(
        [sys.executable, "-c", "import memguard, torch"],
        env=clean | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in ran.stderr:
        pytest.skip("this torch has another OpenMP than GNU's")
    assert f"GOMP_SPINCOUNT = '{TURNS}'" in ran.stderr
