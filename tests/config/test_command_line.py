"""Words of a command line: paths and addresses reach the command as they were typed."""

import os
import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from memguard.config.command_line import as_meant
from memguard.config.compose import config_folder, register_resolvers
from memguard.data.video.addresses import VARIABLE, encoded, put_aside, shown, true_source
from memguard.errors import ConfigError

PARSER = OverridesParser.create()

# Characters with a meaning for shells, Hydra, OmegaConf, URLs or YAML, and a few letters.
AWKWARD = st.text(st.sampled_from("aü0 =,:;{}()[]#$&?!*@/\\.'\"%~+-|\n\t"), min_size=1)


@pytest.fixture(autouse=True)
def nothing_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "{}")


def values(*words: str) -> list[str]:
    """Parse the last of these words by Hydra and OmegaConf: one value, or those of a sweep."""
    override = PARSER.parse_override(as_meant(words)[-1])
    if not override.is_sweep_override():
        return [str(OmegaConf.create({"key": override.value()}).key)]
    words = tuple(f"key={value}" for value in override.sweep_string_iterator())
    found = (PARSER.parse_override(word).value() for word in words)
    return [str(OmegaConf.create({"key": value}).key) for value in found]


def is_plain(text: str) -> bool:
    """Whether it is no null or address, in no quotes, and interpolates nothing."""
    other = re.search(r"\$\{.*\}|\\\$\{|://", text, re.DOTALL)
    return text.lower() != "null" and text[0] not in "'\"" and not other


def as_path(text: str) -> str:
    """The same path, from the home folder and in words that OmegaConf takes for a value."""
    text = os.path.expanduser(text) if text.startswith("~/") else text
    return "./???" if text == "???" else text


@example("???")
@given(AWKWARD.filter(is_plain))
def test_any_text_is_a_path(text: str) -> None:
    assert values(f"checkpoint={text}") == [as_path(text)]
    assert values(f"+dataset.root={text}") == [as_path(text)]


def test_a_path_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert values("checkpoint=~/a,b.ckpt") == ["/home/ann/a,b.ckpt"]
    assert values("video='~/door.mp4'") == ["/home/ann/door.mp4"]
    assert values("-m", "dataset.root=~/a,~b/c") == ["/home/ann/a", "~b/c"]


@given(st.lists(AWKWARD.filter(lambda text: is_plain(text.strip() or "'")), min_size=1))
def test_in_a_multirun_commas_separate_outside_quotes(texts: list[str]) -> None:
    parts = [part.strip() for text in texts for part in text.split(",")]
    if is_plain(f" {','.join(texts)}") and all(part and is_plain(part) for part in parts):
        assert values("-m", f"checkpoint={','.join(texts)}") == [as_path(part) for part in parts]
    assert values("sweep=x", "weights='a,b','c=d',e") == ["a,b", "c=d", "e"]


@given(AWKWARD.filter(is_plain))
def test_words_that_are_given_again_stay(text: str) -> None:
    for word in (f"checkpoint={text}", f"video={text}", f"video=rtsp://u:{text}@door/1"):
        try:
            once = as_meant([word])
        except ConfigError:  # names a file that is not there
            continue
        assert as_meant(once) == once


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("null", "None"),
        ("0", "0"),
        ("1e3", "1e3"),
        ("true", "true"),
        ("'a b.mp4'", "a b.mp4"),
        ('"a,b.mp4"', "a,b.mp4"),
        ("a b.mp4", "a b.mp4"),
        ("Tür [1]=2,3.mp4", "Tür [1]=2,3.mp4"),
        ("${oc.env:DOOR}", "it's {a}=${b},c.mp4"),
        ('"${oc.env:DOOR}"', "it's {a}=${b},c.mp4"),
        ("${oc.env:DOOR}/1", "it's {a}=${b},c.mp4/1"),
        ("${oc.env:NO_DOOR,b.mp4}", "b.mp4"),
        ("${paths.cache_dir}/a=1.mp4", "/cache/a=1.mp4"),
    ],
)
def test_a_whole_configuration_has_the_video_that_was_meant(
    text: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOOR", "it's {a}=${b},c.mp4")
    register_resolvers()
    words = as_meant(["checkpoint=x.ckpt", "paths.cache_dir=/cache", f"video={text}"])
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("score", words)
    assert str(config.video) == meant


def test_commas_within_an_interpolation_separate_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR", "a,b.mp4")
    assert values("-m", "video=${oc.env:NONE,x.mp4},${oc.env:DOOR}") == ["x.mp4", "a,b.mp4"]
    assert values("-m", "video=choice(a.mp4,b=1.mp4)") == ["a.mp4", "b=1.mp4"]
    assert as_meant(["-m", "checkpoint=glob(a*)"])[1] == "checkpoint=glob(a*)"


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:pw@127.0.0.1:554/cam/realmonitor?channel=1&subtype=0",
        "rtsp://admin:{(#$,:=\"'pw@door/1",
        "http://door/video?user=admin&password=pw",
        "http://door?token=pw@home",
        "srt://door:9000?passphrase=pw&streamid=a",
        "rtsp://door:554/user=admin_password=pw_channel=1.sdp",
        "rtmp://door/live?key=pw",
        "rtsp://adm%40in:pw%23@door/1",
        "rtsp://admin:p/w@/@door/1",
        "rtsp://admin:pw",
        "cache:http://admin:pw@door/1",
    ],
)  # fmt: skip
def test_an_address_is_put_aside_and_nothing_else_shows_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM", url)
    file = tmp_path / "door.url"
    file.write_text(f"{url}\nsomething else\n", encoding="utf-8")
    for word in (f"video={url}", "video=${oc.env:CAM}", f"video=@{file}"):
        (name,) = values(word)
        assert "pw" not in as_meant([word])[0]
        assert "p/w" not in as_meant([word])[0]
        assert true_source(name) == url
    name = values(f"notify.webhook={url}")[0]
    assert (true_source(name), re.search("pw|p/w", name)) == (url, None)
    for word in (f"vidoe={url}", url, f"+{url}", f"dataset.root={url}", f"memory.size='{url}'"):
        assert not re.search("pw|p/w", as_meant([word])[0])


@pytest.mark.parametrize(
    "text", ["rtsp:/admin:pw@door", "RTSP//admin:pw@door", "admin:pw@door/1", "http:door?key=pw"]
)
def test_a_mistyped_address_is_hidden_unless_it_is_a_file(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for key in ("video", "notify.webhook", "notify.mqtt"):
        assert as_meant([f"{key}={text}"]) == [f"{key}='***'"]
    assert true_source("***") == text
    assert shown(text) == "***"
    assert as_meant([text]) == ["***"]
    Path(text).parent.mkdir(parents=True, exist_ok=True)
    Path(text).touch()
    assert shown(text) == text


def test_two_cameras_with_the_same_shown_address_have_two_names() -> None:
    urls = "rtsp://a:pw1@door/1", "rtsp://b:pw2@door/1"
    names = values("-m", f"video={','.join(urls)}")
    assert names == ["rtsp://***@door/1", "rtsp://***@door/1 (2)"]
    assert tuple(map(true_source, names)) == urls
    assert put_aside(urls[1]) == names[1]


def test_addresses_that_are_not_there_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for word, sentence in {
        f"video=@{tmp_path}/none": "none: this cannot be read (No such file",
        f"video=@{tmp_path}": "this cannot be read (Is a directory)",
        f"video=@{tmp_path}/binary": "binary: this cannot be read (it is no text)",
        f"video=@{tmp_path}/empty": "empty: its first line is empty",
        "video=${oc.env:NO_SUCH_DOOR}": "the environment variable NO_SUCH_DOOR is not set",
        "video=rtsp://a:${memory.size}@door/1": "no other interpolation",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(sentence)) as error:
            as_meant([word])
        assert "\n" not in str(error.value)


def test_addresses_that_others_need_whole_stay() -> None:
    words = [
        "hydra.sweeper.storage=sqlite:///a.db", "logger.wandb.settings.base_url=http://a:b@c",
        "hydra/launcher=joblib", "-m", "memory.size=1,2", "model=mnad",
    ]  # fmt: skip
    assert as_meant(words) == words


@pytest.mark.parametrize(
    ("url", "for_ffmpeg"),
    [
        ("rtsp://admin:p#w?{ü}@door/1?a=b@c", "rtsp://admin:p%23w%3F%7B%C3%BC%7D@door/1?a=b@c"),
        ("rtsp://admin:p%23w@door/1", "rtsp://admin:p%23w@door/1"),
        ("rtsp://admin:50%@door/1", "rtsp://admin:50%25@door/1"),
        ("rtsp://admin:p@ss:w@[::1]:554/1", "rtsp://admin:p%40ss%3Aw@[::1]:554/1"),
        ("rtsp://admin:p/w@door:554/1", "rtsp://admin:p%2Fw@door:554/1"),
        ("rtsp://door:554/a@b", "rtsp://door:554/a@b"),
        ("http://door?token=a@b", "http://door?token=a@b"),
        ("/dev/video0", "/dev/video0"),
        ("RTSP://Door/A", "rtsp://Door/A"),
        ("RTSP://Admin:p#w@Door/A", "rtsp://Admin:p%23w@Door/A"),
    ],
)
def test_ffmpeg_gets_user_and_password_in_percent(url: str, for_ffmpeg: str) -> None:
    assert encoded(url) == for_ffmpeg


@given(AWKWARD, AWKWARD)
def test_a_password_is_never_shown(user: str, password: str) -> None:
    secret = f"Geheim{password}Wort"
    name = shown(f"rtsp://{user}:{secret}@door/1")
    assert "Geheim" not in name
    assert "Wort" not in name
    assert shown(name) == name
    assert os.environ[VARIABLE] == "{}"


def test_a_comma_in_a_password_is_refused_in_a_multirun_and_shows_nothing() -> None:
    address = "rtsp://admin:s3cret,pa55@door/1"
    with pytest.raises(ConfigError, match="in quotes") as refusal:
        as_meant(["-m", f"video={address},roof.mp4"])
    assert "s3cret" not in str(refusal.value)
    assert "pa55" not in str(refusal.value)
    assert as_meant(["-m", f"video='{address}',a@b.mp4"])[1] == "video='rtsp://***@door/1',a@b.mp4"


@pytest.mark.parametrize(
    "key", ["checkpoint", "weights", "dataset.root", "paths.data_dir", "hydra.run.dir"]
)
def test_the_path_of_every_key_with_one_is_literal(key: str) -> None:
    assert as_meant([f"{key}=a[1]=b"]) == [f"{key}='a[1]=b'"]
    assert as_meant([f"++{key}=a[1]"]) == [f"++{key}='a[1]'"]
    assert "12:30@2" in as_meant([f"{key}=12:30@2"])[0]  # a new folder, no password


def test_a_backslash_before_a_comma_escapes_nothing() -> None:
    _, word = as_meant(["-m", "checkpoint=a\\,b"])
    override = OverridesParser.create().parse_override(word)
    assert override.is_sweep_override()
    values = [str(each.text if hasattr(each, "text") else each) for each in override.value().list]
    assert values == ["a\\", "b"]
