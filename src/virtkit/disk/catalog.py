"""Which formats exist, and which one a file is. raw is never guessed: every guest can write any first bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core import plugins
from virtkit.core.errors import ImageError, NotSupportedError, UnknownFormatError, UsageError
from virtkit.disk import formats, halfway
from virtkit.disk.format import Format, WritableFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.file import File

HEAD = 1024  # bytes; every signature lies within


def load(name: str) -> Format:
    """The format that users call ``name``; UsageError."""
    known = plugins.names(formats)
    if name not in known:
        raise UsageError(f"format is {name}, expected one of {', '.join(known)}", hint="virtkit disk formats")
    return plugins.load(formats, name, Format, "FORMAT")


def load_all() -> dict[str, Format]:
    return plugins.collect(formats, Format, "FORMAT")


def load_writable(name: str) -> WritableFormat:
    """As ``load``; NotSupportedError if images of this format can only be read."""
    found = load(name)
    if not isinstance(found, WritableFormat):
        raise NotSupportedError(f"{name}: images of this format can be read only", hint="virtkit disk formats")
    return found


def require_options(name: str, kind: WritableFormat, given: Mapping[str, str]) -> None:
    """UsageError where ``-o`` names something that the format does not have."""
    known = [option.name for option in kind.options]
    for option in given:
        if option not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise UsageError(f"{name}: option {option} is not known, expected {expected}")


def detect(file: File) -> str:
    """The name of the format whose signature ``file`` carries; UnknownFormatError where none does."""
    head = file.read(0, HEAD)
    for name in _likely_first(file.name):
        if plugins.load(formats, name, Format, "FORMAT").probe(head):
            return name
    raise UnknownFormatError(file.name, head)


def choose(file: File, given: str | None, *, trust_format: bool = False) -> str:
    """The format to open ``file`` with: what the user says, else its signature.

    ImageError where the two contradict each other, unless ``trust_format``: a raw disk may hold any signature.
    """
    halfway.require_whole(file)
    if given is None:
        return detect(file)
    load(given)
    if not trust_format:
        try:
            found = detect(file)
        except UnknownFormatError:
            return given
        if found != given:
            raise ImageError(
                f"{file.name}: format is {found} by its signature, expected {given}",
                hint=f"-f {found}; or, if a guest wrote that signature into a {given} disk: --trust-format",
            )
    return given


def from_suffix(path: str, flag: str = "-O") -> str:
    """The format that a new file's name asks for, be it one that is only read; UsageError if it asks for none.

    ``flag`` is how the user could say it.
    """
    suffix = os.path.splitext(path)[1].lower()
    for name in _likely_first(path):
        if suffix in load(name).suffixes:
            return name
    writable = [name for name, found in load_all().items() if isinstance(found, WritableFormat)]
    raise UsageError(f"{path}: format is not said, expected one of {', '.join(writable)}", hint=f"{flag} qcow2")


def _likely_first(path: str) -> list[str]:
    """All formats, the one named as the file's suffix in front: the others are then not even imported."""
    suffix = os.path.splitext(path)[1].lower().lstrip(".")
    return sorted(plugins.names(formats), key=lambda name: name != suffix)
