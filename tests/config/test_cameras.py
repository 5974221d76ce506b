"""The file of cameras: values of each, those of the command, and what is refused."""

import re
from pathlib import Path

import pytest

from memguard.config.cameras import read_cameras
from memguard.errors import ConfigError
from tests.config.test_schema import composed


def read(tmp_path: Path, text: str, *overrides: str) -> dict[str, object]:
    path = tmp_path / "cameras.yaml"
    path.write_text(text)
    return dict(read_cameras(path, composed("watch", f"cameras={path}", *overrides)))


def test_a_camera_has_its_own_values_and_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "s3cret")
    cameras = read(
        tmp_path,
        """
door:
  source: rtsp://admin:${oc.env:DOOR_PASSWORD}@10.0.0.7/stream
  alarm: {false_per_hour: 0.5}
  events: {clip: null}
yard: {source: 0, checkpoint: yard.ckpt, hours: ["22:00-06:00"]}
""",
        "checkpoint=usual.ckpt",
        "events.longest=30",
    )
    assert list(cameras) == ["door", "yard"]
    door, yard = cameras["door"], cameras["yard"]
    assert door.source == "rtsp://admin:s3cret@10.0.0.7/stream"
    assert (door.checkpoint, door.alarm.false_per_hour, door.hours) == ("usual.ckpt", 0.5, None)
    assert (door.events.clip, door.events.longest) == (None, 30)
    assert (yard.source, yard.checkpoint, yard.hours) == (0, "yard.ckpt", ["22:00-06:00"])
    assert (yard.events.clip, yard.alarm.false_per_hour) == (5, 1)


def test_all_problems_of_all_cameras_are_named_without_a_password(tmp_path: Path) -> None:
    text = """
door: {sorce: a.mp4, zones: 1, checkpoint: 3}
"a/b": {source: a.mp4}
yard: {source: "rtsp://u:s3cret@h/x", notify: {webhook: "ftp://u:s3cret@h"}}
hall:
shed: {checkpoint: shed.ckpt, hours: 20:00}
"""
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    said = str(error.value)
    assert "The configuration has 10 problems:" in said
    assert "cameras.yaml: door.sorce is not known: did you mean source?" in said
    assert "cameras.yaml: door.zones is not known: a camera has" in said
    assert "door.checkpoint=3 cannot work" in said
    assert "a/b is no name of a camera" in said
    assert "yard.checkpoint=null cannot work: it must be a path." in said
    assert "yard.notify.webhook=ftp://***@h cannot work" in said
    assert "hall has no settings" in said
    assert "shed.source=null cannot work: it must be the address of a camera, the number" in said
    assert "shed.hours=1200 cannot work: it must be a list of spans such as" in said
    assert "in quotes, as YAML takes 20:00 for the number 1200" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "this file has no camera"),
        ("- door", "this file has no camera"),
        ("door: {source: [", "this is no YAML in line 1"),
        ("door: {source: a}\ndoor: {source: b}", "this is no YAML in line 2 .*duplicate key door"),
        (
            "door: {source: '${oc.env:NO_SUCH}', checkpoint: a}",
            "door.source cannot work: the environment variable NO_SUCH is not set",
        ),
    ],
)
def test_a_file_without_cameras_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=rf"cameras\.yaml: {sentence}"):
        read(tmp_path, text)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=r"none\.yaml: this file of cameras cannot be read"):
        read_cameras(path, composed("watch", f"cameras={path}"))


@pytest.mark.parametrize(
    "source",
    [
        "rtsp:/admin:s3cret@door", "rtsp//admin:s3cret@door", "admin:s3cret@door/1",
        "rtsp:door?password=s3cret", f"rtsp:/admin:{'x' * 200}s3cret@door",
    ],
)  # fmt: skip
def test_a_mistyped_source_is_refused_without_its_password(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, f"door: {{source: '{source}', checkpoint: a.ckpt}}")
    assert "door.source=*** cannot work: it must be the address of a camera" in str(error.value)
    assert "an address has the form rtsp://user:password@host/path." in str(error.value)
    assert not re.search("s3cret|xxx", str(error.value))


def test_a_file_may_have_a_name_like_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("12:30@door.mp4").touch()
    door = read(tmp_path, "door: {source: '12:30@door.mp4', checkpoint: a.ckpt}")["door"]
    assert door.source == "12:30@door.mp4"


def test_what_never_works_is_refused_by_camera(tmp_path: Path) -> None:
    text = """
door: {source: 0, checkpoint: a.ckpt, events: {shortest: 8}, hours: ["08:00-08:00"]}
yard: {source: "rtsp://u:${DOOR_PASSWORD}@h/x", checkpoint: a.ckpt, events: {longest: 8}}
"s3:cret@h": {source: 0}
"""
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text, "events.longest=5")
    said = str(error.value)
    assert "The configuration has 4 problems:" in said
    assert "door.events.shortest=8 cannot work with events.longest=5, as every event ends" in said
    assert re.search(r"door\.hours=\['08:00-08:00'\] cannot work: .*, and null is always", said)
    assert "yard.source cannot work: Interpolation key 'DOOR_PASSWORD' not found; an env" in said
    assert "is written ${oc.env:DOOR_PASSWORD}" in said
    assert "*** is no name of a camera" in said
