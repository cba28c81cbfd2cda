"""A configuration file with everything that makes it the same file: bytes, mode, owner, extended attributes."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from virtkit.core.directories import replacing
from virtkit.core.errors import SystemCallError

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.system import System

NEW_MODE = 0o644


def capture(system: System, path: str) -> Json:
    """As ``restore`` needs it; None where there is no such file. A symbolic link stands for what it leads to."""
    try:
        target = _target(system, path)
        with open(target, "rb") as file:
            content, found = file.read(), os.fstat(file.fileno())
            attributes = {name: os.getxattr(file.fileno(), name) for name in os.listxattr(file.fileno())}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemCallError(f"read {path}", error) from error
    return {
        "content": b64encode(content).decode(),
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "attributes": {name: b64encode(value).decode() for name, value in sorted(attributes.items())},
    }


def restore(system: System, path: str, state: Json) -> None:
    """Bring back what ``capture`` returned, atomically and durably."""
    if not isinstance(state, dict):
        system.remove(path)
        return
    _put(system, path, b64decode(str(state["content"])), state)


def text_of(system: System, path: str) -> str | None:
    """The file byte for byte, undecodable ones as surrogate escapes; None where there is none."""
    try:
        return system.path(path).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemCallError(f"read {path}", error) from error


def rewrite(system: System, path: str, content: bytes, mode: int | None = None) -> None:
    """Other bytes in the same file: ``mode``, owner and attributes stay unless given; a new file is root's, 0o644."""
    before = capture(system, path)
    state: dict[str, Json] = before if isinstance(before, dict) else {"mode": NEW_MODE}
    _put(system, path, content, state if mode is None else {**state, "mode": mode})


def _target(system: System, path: str) -> str:
    return os.path.realpath(system.path(path))


def _put(system: System, path: str, content: bytes, state: dict[str, Json]) -> None:
    try:
        with replacing(_target(system, path)) as file:
            file.write(content)
            file.flush()  # a write takes capabilities and set-user-ID bits away (chown(2))
            _label(file.fileno(), state)
    except OSError as error:
        raise SystemCallError(f"write {path}", error) from error


def _label(fd: int, state: dict[str, Json]) -> None:
    if "uid" in state:
        os.fchown(fd, int(str(state["uid"])), int(str(state["gid"])))
    os.fchmod(fd, int(str(state["mode"])))
    attributes = state.get("attributes")
    if isinstance(attributes, dict):
        for name, value in attributes.items():
            os.setxattr(fd, name, b64decode(str(value)))
