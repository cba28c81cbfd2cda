"""Key slots of a LUKS image filled and emptied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.disk.formats.qcow2.layout import EncryptionHeader, Extension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.formats.qcow2.live import LiveQcow2


def change(image: LiveQcow2, given: Mapping[str, str]) -> str:
    """What was done. UsageError, WrongKeyError."""
    file = image.file
    if image.head.encryption != "luks":
        raise NotSupportedError(f"{file.name}: is not encrypted with LUKS, so it has no key slots")
    at = EncryptionHeader.parse(image.head.extensions[Extension.ENCRYPTION], source=file.name).offset
    slot = _number(given, "encrypt.keyslot")
    state = given.get("encrypt.state")
    if state == "active":
        return _add(image, given, at, slot)
    if state == "inactive":
        return _remove(image, given, at, slot)
    raise UsageError(f"{file.name}: encrypt.state is {state}, expected active or inactive")


def _add(image: LiveQcow2, given: Mapping[str, str], at: int, slot: int | None) -> str:
    from virtkit.disk import cipher
    from virtkit.disk.cipher.luks import ITER_TIME

    new = _passphrase(given, "encrypt.new-secret")
    if new is None:
        raise UsageError(f"{image.file.name}: the new passphrase is not given", hint="--new-key-file FILE")
    old = _passphrase(given, "encrypt.old-secret") or image.access.secret
    old = cipher.require_secret(image.file, "luks", old)
    iter_time = _number(given, "encrypt.iter-time") or ITER_TIME
    taken = cipher.add_key(image.file, at, old, new, slot=slot, iter_time=iter_time)
    return f"key slot {taken}: filled"


def _remove(image: LiveQcow2, given: Mapping[str, str], at: int, slot: int | None) -> str:
    from virtkit.disk import cipher

    old = _passphrase(given, "encrypt.old-secret")
    if old is None and slot is None:
        raise UsageError(
            f"{image.file.name}: which key shall go is not said",
            hint="--old-key-file FILE, or -o encrypt.state=inactive,encrypt.keyslot=1",
        )
    cipher.remove_key(image.file, at, old, slot)
    return f"key slot {slot}: emptied" if slot is not None else "key slots of that passphrase: emptied"


def _passphrase(given: Mapping[str, str], name: str) -> bytes | None:
    return given[name].encode(errors="surrogateescape") if name in given else None


def _number(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    if not given[name].isdecimal():
        raise UsageError(f"qcow2: {name} is {given[name]}, expected a number")
    return int(given[name])
