"""The declarative file: what it may say, and every fault of it at once with its place.

YAML is read by the 1.2 core schema: ``52:54:00:12:34:56`` is text and not a number in base 60, ``on`` is text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from virtkit.core.errors import NotFoundError, SpecError, SystemCallError, UsageError
from virtkit.core.units import parse_size
from virtkit.recipes.workload import Workload  # noqa: TC001  pydantic reads it

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

MOST_BYTES = 1 << 20
MOST_NODES = 20_000  # aliases count each time they are used: a file of a few lines can otherwise mean gigabytes
MOST_DEPTH = 20

KEY = "[key]"  # last in a place: the key itself and not its value, as pydantic says it
Place: TypeAlias = "tuple[str | int, ...]"  # the keys from the top of the file to a value


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{value!r}, expected a size such as 10G")  # noqa: TRY004  pydantic collects ValueErrors
    try:
        return parse_size(str(value))
    except UsageError as error:
        raise ValueError(error.message.removeprefix("size is ")) from error


_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}$"
_LINK = r"^[^\s/:]{1,15}$"  # IFNAMSIZ is 16 with the NUL
_MAC = r"^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$"
_IN_WORDS = {
    _NAME: "a name of at most 63 letters, digits and _ . + -",
    _LINK: "a network device's name, at most 15 characters without / : and blanks",
    _MAC: "a unicast MAC address such as 52:54:00:12:34:56",
    "boolean": "true or false",
    "dictionary": "a mapping",
    "list": "a list",
    "string": "text",
    "integer": "a whole number",
}

Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Name = Annotated[str, StringConstraints(pattern=_NAME)]
LinkName = Annotated[str, StringConstraints(pattern=_LINK)]
Mac = Annotated[str, StringConstraints(pattern=_MAC)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Bridge(_Part):
    port: LinkName | None = None


class Network(_Part):
    bridge: Bridge


class Image(_Part):
    source: str
    source_format: str | None = None  # needed for raw alone, which is never guessed
    format: Literal["qcow2", "raw"] = "qcow2"
    size: Size | None = None  # bytes; the disk grows to it and never shrinks
    path: str | None = None  # where the disk is made; by default in libvirt's image directory
    allow_backing: bool = False  # the source may name backing files outside its own directory


class Nic(_Part):
    network: LinkName
    mac: Mac | None = None


class Host(_Part):
    profile: Workload  # the host itself is tuned for it; left out, it stays as it is


class Machine(_Part):
    image: Image
    cpus: Annotated[int, Field(ge=1, le=512)] = 1
    memory: Size = 1 << 30
    nics: list[Nic] = []
    workload: Workload = "web"
    pin: Literal["auto", "none"] | dict[int, int] = "none"
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    autostart: bool = False
    serial_log: str | None = None  # a file that keeps what the serial console prints

    @model_validator(mode="after")
    def _pins_name_vcpus(self) -> Machine:
        if isinstance(self.pin, dict) and (beyond := [vcpu for vcpu in self.pin if not 0 <= vcpu < self.cpus]):
            raise ValueError(f"pins vCPU {beyond[0]}, expected vCPUs below cpus: {self.cpus}")
        return self


class Spec(_Part):
    version: Literal[1]
    networks: dict[LinkName, Network] = {}
    machines: dict[Name, Machine]
    host: Host | None = None


class Document:
    """A file that was read: the spec, and where in the file each value stands."""

    def __init__(self, path: Path, spec: Spec, marks: dict[Place, tuple[int, int]]) -> None:
        self.path, self.spec, self._marks = path, spec, marks

    def fault(self, place: Place, text: str) -> str:
        return _fault(self.path, self._marks, place, text)


def load(path: Path) -> Document:
    """SpecError lists every fault as ``file:line:column: field: found, expected``; NotFoundError, SystemCallError."""
    value, marks = _read(path)
    try:
        spec = Spec.model_validate(value)
    except ValidationError as error:
        faults = _merge([_say(detail) for detail in error.errors(include_url=False)])
        raise SpecError(sorted((_fault(path, marks, *fault) for fault in faults), key=_position)) from error
    document = Document(path, spec, marks)
    if dangling := _dangling(document):
        raise SpecError(dangling)
    return document


def _dangling(document: Document) -> list[str]:
    known = document.spec.networks
    return [
        document.fault(
            ("machines", name, "nics", index, "network"),
            f"is {nic.network}, expected one of the file's networks ({', '.join(known) or 'there are none'})",
        )
        for name, machine in document.spec.machines.items()
        for index, nic in enumerate(machine.nics)
        if nic.network not in known
    ]


def _fault(path: Path, marks: dict[Place, tuple[int, int]], place: Place, text: str) -> str:
    nearest = place
    while nearest not in marks:
        nearest = nearest[:-1]
    line, column = marks[nearest]
    return f"{path}:{line}:{column}: {_dotted(place) or 'file'}: {text}"


def _dotted(place: Place) -> str:
    return ".".join(str(key) for key in place if key != KEY)


def _position(fault: str) -> tuple[int, int]:
    found = re.search(r":(\d+):(\d+): ", fault)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _merge(faults: list[tuple[Place, str]]) -> list[tuple[Place, str]]:
    """One line per place; where a field takes several shapes, the fault inside the shape that was meant says more."""
    merged: dict[Place, str] = {}
    for place, text in faults:
        if any(other[: len(place)] == place and len(other) > len(place) for other, _ in faults):
            continue
        merged[place] = f"{merged[place]} or {text.rpartition('expected ')[2]}" if place in merged else text
    return list(merged.items())


def _say(detail: ErrorDetails) -> tuple[Place, str]:
    """A pydantic error as a place that exists in the file, and in our words."""
    place = tuple(key for key in detail["loc"] if key not in {"dict[int,int]", "literal['auto','none']"})
    kind, message = detail["type"], detail["msg"]
    if kind == "missing":
        return place, "is missing"
    if kind == "extra_forbidden":
        return place, "is not a field of this file" + _known(place)
    if kind == "value_error":
        return place, "is " + message.removeprefix("Value error, ") if "expected" in message else message
    expected = detail["ctx"]["pattern"] if kind == "string_pattern_mismatch" else message
    expected = re.sub(r"^Input should be (an? valid |a )?| or instance of \w+$", "", expected)
    return place, f"is {_brief(detail['input'])}, expected {_IN_WORDS.get(expected, expected)}"


def _known(place: Place) -> str:
    parts: dict[str, type[_Part]] = {"bridge": Bridge, "image": Image, "nics": Nic}
    part: type[_Part] | None = parts.get(str(place[2])) if len(place) > 3 else None  # noqa: PLR2004  networks.br0.bridge.x
    if len(place) == 1:
        part = Spec
    elif len(place) == 3:  # noqa: PLR2004  machines.web1.x
        part = Network if place[0] == "networks" else Machine
    return f"; its fields are {', '.join(part.model_fields)}" if part else ""


def _brief(value: object) -> str:
    return f"a {'mapping' if isinstance(value, dict) else 'list'}" if isinstance(value, (dict, list)) else repr(value)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own shape


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _read(path: Path) -> tuple[object, dict[Place, tuple[int, int]]]:
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such file") from error
    except OSError as error:
        raise SystemCallError(f"read {path}", error) from error
    if len(text) > MOST_BYTES:
        raise SpecError([f"{path}:1:1: file: is {len(text)} bytes long, expected at most {MOST_BYTES}"])
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise SpecError([f"{path}:1:1: file: is empty, expected version and machines"])
        walk = _Walk(path, loader)
        return walk.value(node, ()), walk.marks
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise SpecError([f"{path}:{where}: file: is not YAML: {error.problem or error.context}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SpecError([f"{path}:1:1: file: is not YAML: {str(error).splitlines()[0]}"]) from error


class _Walk:
    """YAML nodes to plain values, remembering where each stands; bounded in depth and number."""

    def __init__(self, path: Path, loader: _Loader) -> None:
        self._path, self._loader, self._nodes = path, loader, 0
        self.marks: dict[Place, tuple[int, int]] = {}

    def value(self, node: yaml.Node, place: Place) -> Any:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self.marks[place] = (line, column)
        self._nodes += 1
        if self._nodes > MOST_NODES or len(place) > MOST_DEPTH:
            limit = f"at most {MOST_NODES} values, {MOST_DEPTH} deep"
            raise SpecError([f"{self._path}:{line}:{column}: file: is too large, expected {limit}"])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*place, index)) for index, child in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node, (*place, KEY))
            line, column = self.marks[*place, KEY]
            if not isinstance(key, (str, int)) or key in found:
                text = "is there twice" if isinstance(key, (str, int)) else "is not a plain key"
                raise SpecError([f"{self._path}:{line}:{column}: {_dotted((*place, key))}: {text}"])
            found[key] = self.value(value_node, (*place, key))
            self.marks[*place, key, KEY] = (line, column)  # only now: the keys inside the value were noted there too
        return found
