"""What all tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real benchmark video: `ped2/`, `avenue/` and `labels/`."""
    folder = os.environ.get("MEMGUARD_TEST_DATA")
    if not folder:
        pytest.skip("set MEMGUARD_TEST_DATA to a folder that holds ped2/, avenue/ and labels/")
    return Path(folder)
