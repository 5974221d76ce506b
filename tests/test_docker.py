"""The image of live scoring tells Docker whether its cameras are watched."""

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from memguard.live.page.server import place_at
from tests.live.page.scene import TOKEN, a_status

DOCKERFILE = (Path(__file__).parents[1] / "Dockerfile").read_text(encoding="utf-8")


def health(port: str, token: str) -> int:
    """Run the image's health check, with this port and token, and return its exit status."""
    lines = DOCKERFILE.replace("\\\n", "").splitlines()
    (line,) = [line for line in lines if line.startswith("HEALTHCHECK")]
    _python, *words = json.loads(re.sub(r"^.* CMD ", "", line))
    words = [word.replace(":8090/", f":{port}/") for word in words]
    environment = os.environ | {"MEMGUARD_WATCH_TOKEN": token}
    checked = subprocess.run([sys.executable, *words], env=environment, capture_output=True)
    return checked.returncode


@pytest.mark.parametrize(("minutes", "expected"), [(0, 0), (2, 1)])
def test_the_image_is_healthy_while_its_cameras_are(
    minutes: int, expected: int, tmp_path: Path
) -> None:
    refreshed = datetime.now(timezone.utc) - timedelta(minutes=minutes)
    place = place_at("0.0.0.0:0", TOKEN)
    server = place.serve(lambda: [a_status(refreshed=refreshed)], tmp_path)
    port = server.url.rpartition(":")[2]
    assert health(port, TOKEN) == expected
    assert health(port, "another token of length") == 1
    server.close()


def test_nothing_answers_where_nothing_runs() -> None:
    assert health("1", TOKEN) == 1
