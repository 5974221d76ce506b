"""Kinds of values, and the base of all models of settings."""

from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WrapValidator
from pydantic.fields import FieldInfo

from memguard.config.sentences import Words, unknown
from memguard.data.video.addresses import encoded, is_mistyped, true_source

LARGEST_SEED = 2**32 - 1  # that NumPy takes


def _of_same_type(given: Any, validate: Any) -> Any:
    """Refuse true and 1.0 where the choice is 1: Python takes them for equal."""
    chosen = validate(given)
    if type(chosen) is not type(given):
        raise ValueError
    return chosen


def _well_typed(source: str) -> str:
    if is_mistyped(true_source(source)):
        raise ValueError
    return source


def _with_a_port(address: str) -> str:
    if urlsplit(encoded(true_source(address))).port == 0:  # one that is no number is an error
        raise ValueError
    return address


def _not_empty(span: str) -> str:
    begins, ends = span.split("-")
    if begins == ends:
        raise ValueError
    return span


Exact = WrapValidator(_of_same_type)
Text = Annotated[str, Field(pattern=r"\S")]
Tag = Annotated[str, Field(pattern=r"\S", max_length=64)]  # as W&B takes them
Tags = Annotated[list[Tag], Words("a list of texts of at most 64 letters, such as [wide,second]")]
FilePath = Annotated[str, Field(pattern=r"\S"), Words("a path")]
Package = Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$")]
Packages = Annotated[Package | list[Package], Words("the name of a package, or a list of them")]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
FromOne = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=8, le=2**12)]
FrameSides = Annotated[
    Side | Annotated[list[Side], Field(min_length=2, max_length=2)],
    Words("a whole number of pixels from 8 to 4096, or two, [height,width]"),
]
Source = Annotated[
    Annotated[str, Field(pattern=r"\S"), AfterValidator(_well_typed)] | Count,
    Words(
        "the address of a camera, the number of a webcam, or the path of a file; an address has "
        "the form rtsp://user:password@host/path"
    ),
]
WebAddress = Annotated[
    str,
    Field(pattern=r"^https?://[^\s/]"),
    AfterValidator(_with_a_port),
    Words("an address that begins with http:// or https://, such as https://host:8443/path"),
]
Broker = Annotated[
    str,
    Field(pattern=r"^mqtts?://[^\s/]"),
    AfterValidator(_with_a_port),
    Words("an address such as mqtt://user:password@host:1883"),
]
Program = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    Field(min_length=1),
    Words("a list of a program and its arguments, such as [python,alarm.py]"),
]
Served = Annotated[
    str, Field(pattern=r"^[\w.:\[\]-]+:\d{1,5}$"), Words("HOST:PORT, such as 127.0.0.1:8090")
]
Point = Annotated[list[Share], Field(min_length=2, max_length=2)]
Polygon = Annotated[list[Point], Field(min_length=3)]
Places = Annotated[
    list[Polygon] | FilePath,
    Words(
        "polygons of at least three points [x,y] from 0 to 1, such as [[[0,0],[0.5,0],[0,0.5]]], "
        "or the path of a mask"
    ),
]
HOURS = (
    "a list of spans such as ['07:00-19:30'], from 00:00 to 23:59, in quotes, as YAML takes 20:00 "
    "for the number 1200; a span ends at another time than it begins, and null is always"
)
Span = Annotated[
    str,
    Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$"),
    AfterValidator(_not_empty),
]
Hours = Annotated[list[Span], Field(min_length=1), Words(HOURS)]
OnError = Literal["raise", "skip"]
Cache = Literal["none", "disk", "ram"]
GraphFormat = Literal["onnx", "openvino", "torch_export"]
GraphPrecision = Literal["fp32", "int8"]
Backend = Literal["torch", "onnx", "openvino"]


class Settings(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def checks_key(cls, name: str, target: Any) -> bool:
        """Return whether a key is checked in a group that names the class ``target``."""
        return True

    @classmethod
    def refuse_key(cls, group: str, name: str, value: Any) -> str | None:
        """Say why a key is none of the group's; None where it may be there all the same.

        Args:
            group: The group's own key, with its dot.
            name: The key's name.
            value: The key's value.
        """
        return unknown(group, name, cls.model_fields)


class Part(Settings):
    """A group that describes an object, of the class that it names.

    A class from elsewhere takes what it likes: then only the keys that memguard reads are checked.

    Attributes:
        makers: Whose classes take the keys of the model.
        read: The keys that memguard reads, whichever the class.
    """

    makers: ClassVar[tuple[str, ...]] = ("memguard.",)
    read: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def checks_key(cls, name: str, target: Any) -> bool:
        """Return whether a key is checked in a group that names the class ``target``."""
        return name in cls.read or not target or str(target).startswith(cls.makers)


def group_of(field: FieldInfo) -> type[Settings] | None:
    """Return the model of a field that is a group of settings."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, Settings):
            return kind
    return None
