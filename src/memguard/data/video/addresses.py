"""Addresses of cameras, shown without their credentials.

:func:`put_aside` replaces a source by its shown name before any file records it. Configuration,
logs and tables have the shown name. :func:`true_source` returns the source to open. The environment
passes it to the processes of a sweep's jobs; no file contains it.
"""

import json
import os
import re
from urllib.parse import quote

VARIABLE = "MEMGUARD_SOURCES"
HIDDEN = "***"

# Parts of a query that select a picture and give no access; all others are hidden.
HARMLESS = frozenset({"channel", "subtype", "stream", "unicast", "profile", "resolution", "fps"})
LONGEST_HARMLESS = 16
# Some recorders have a key as path; paths that people choose are shorter, or have no digits.
SHORTEST_KEY = 12

_URL = re.compile(r"((?:[A-Za-z][\w+.-]*:)*[A-Za-z][\w+.-]*)://(.*)", re.DOTALL)
# A scheme that lacks its "://", and what may be a user and a password without a scheme.
_MISTYPED = re.compile(
    r"\s*(rtsps?|rtmps?|https?|mqtts?|srt|rtp|udp|tcp)(:|//)|[^@]*:.*@", re.IGNORECASE | re.DOTALL
)
_HOST = re.compile(r"([^\s:@\[\]]*|\[[\w:.%]*\])(:\d*)?")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def shown(source: str) -> str:
    """Return a source without user, password, and keys in its path or query.

    Ambiguous parts and mistyped addresses are hidden. A path to a file is shown unchanged.

    Example:
        >>> shown("rtsp://admin:pw@door:554/cam/realmonitor?channel=1&token=t0p")
        'rtsp://***@door:554/cam/realmonitor?channel=1&***'
        >>> shown("door.mp4")
        'door.mp4'
        >>> shown("rtsp:/admin:pw@door")
        '***'
    """
    if "://" not in source:
        return HIDDEN if is_mistyped(source) else source
    url = _URL.fullmatch(source)
    if url is None:
        return HIDDEN
    scheme, rest = url.groups()
    place, slash, tail = rest.partition("/")
    before, at, host = place.rpartition("@")
    if "@" in tail or "?" in before:  # the end of the password is ambiguous
        return f"{scheme}://{HIDDEN}"
    host, *query_of_host = re.split("[?#]", host, maxsplit=1)
    path, *query_of_path = re.split("[?#]", tail, maxsplit=1)
    host = host if _HOST.fullmatch(host) else HIDDEN
    parts = "/".join(map(_shown_segment, path.split("/")))
    query = query_of_host + ([slash + tail] if query_of_host and slash else query_of_path)
    place = f"{HIDDEN}@{host}" if at else host
    path = "" if query_of_host else slash + parts
    return f"{scheme}://{place}{path}" + (f"?{_shown_query('&'.join(query))}" if query else "")


def is_mistyped(source: str) -> bool:
    """Return whether a source is neither an address nor a file, but was meant as an address.

    Example:
        >>> [is_mistyped(source) for source in ("rtsp//door/1", "admin:pw@door", "door.mp4")]
        [True, True, False]
    """
    no_address = "://" not in source and _MISTYPED.match(source) is not None
    return no_address and not os.path.exists(source)  # a file's name may look so


def _shown_segment(segment: str) -> str:
    chosen = re.fullmatch(r"[\w.,~+-]*", segment)
    key = len(segment) >= SHORTEST_KEY and re.search(r"\d", segment)
    return segment if chosen and not key else HIDDEN


def _shown_query(query: str) -> str:
    harmless = [pair for pair in query.split("&") if _is_harmless(pair)]
    return "&".join([*harmless, HIDDEN] if len(harmless) < query.count("&") + 1 else harmless)


def _is_harmless(pair: str) -> bool:
    name, _, value = pair.partition("=")
    short = len(value) <= LONGEST_HARMLESS and re.fullmatch(r"[\w.-]*", value)
    return name in HARMLESS and short is not None


def put_aside(source: str) -> str:
    """Store a source with credentials for :func:`true_source`.

    Returns:
        The name to use from now on: the shown name, with a number if two sources share it.
    """
    aside = _aside()
    name = shown(source)
    if name == source or source in aside:
        return source
    number = 2
    while aside.get(name, source) != source:
        name, number = f"{shown(source)} ({number})", number + 1
    os.environ[VARIABLE] = json.dumps(aside | {name: source})
    return name


def true_source(name: str) -> str:
    """Return the source stored under a name, or the name if there is none."""
    return _aside().get(name, name)


def _aside() -> dict[str, str]:
    return dict(json.loads(os.environ.get(VARIABLE, "{}")))


def encoded(source: str) -> str:
    """Percent-encode user and password of a URL for FFmpeg, which knows schemes in small letters.

    Encoded characters stay unchanged.

    Example:
        >>> encoded("RTSP://admin:p#w@/s@door/1")
        'rtsp://admin:p%23w%40%2Fs@door/1'
    """
    url = _URL.fullmatch(source)
    if url is None:
        return source
    scheme, rest = url[1].lower(), url[2]
    access = _access(rest)
    if not access:
        return f"{scheme}://{rest}"
    user, colon, password = access.partition(":")
    return f"{scheme}://{_percent(user)}{colon}{_percent(password)}{rest[len(access) :]}"


def _access(rest: str) -> str:
    """Find user and password after the scheme, as people type them."""
    place = rest.partition("/")[0]
    if _HOST.fullmatch(place.partition("?")[0]):
        return ""
    access, _, host = place.rpartition("@")
    if host and _HOST.fullmatch(re.split("[?#]", host, maxsplit=1)[0]):
        return access
    return rest.rpartition("@")[0]  # a password with a slash


def _percent(text: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe="!$&'()*+,;=~%")
