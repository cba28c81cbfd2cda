"""What ``disk info`` says of one image, line by line. The words of a format's own facts are qemu-img's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeGuard

    from virtkit.disk.description import Info


def lines(info: Info) -> list[str]:
    share = f" ({info.actual_size / info.virtual_size:.1%} of the virtual size)" if info.virtual_size else ""
    told = [
        f"{info.filename}: {info.format}, {format_size(info.virtual_size)} ({info.virtual_size} bytes)",
        _line("on disk", f"{format_size(info.actual_size)}{share}"),
        *_of_the_image(info),
        *_of_the_format(info.facts.specific or {}),
    ]
    if info.facts.snapshots:
        told.append(_line("snapshots", str(len(info.facts.snapshots))))
    return told


def _line(what: str, text: str) -> str:
    return f"  {what:<12}  {text}"


def _of_the_image(info: Info) -> Iterator[str]:
    facts = info.facts
    if info.files:
        yield _line("files", ", ".join((info.filename, *info.files)))
    if info.missing:
        yield _line("files", f"not all: {info.missing}")
    if info.users:
        yield _line("in use by", ", ".join(info.users))
    if facts.cluster_size:
        yield _line("cluster size", format_size(facts.cluster_size))
    if info.backing:
        yield _line("backing file", f"{info.backing.name} ({info.backing.format or 'format not said'})")
    if state := [word for word, holds in (("dirty", facts.dirty), ("encrypted", facts.encrypted)) if holds]:
        yield _line("state", ", ".join(state))


def _of_the_format(specific: Mapping[str, object]) -> Iterator[str]:
    encrypt = specific.get("encrypt")
    if _is_record(encrypt):
        yield _line("encryption", _encryption(encrypt))
    bitmaps = specific.get("bitmaps")
    for bitmap in bitmaps if isinstance(bitmaps, list) else ():
        if _is_record(bitmap):
            yield _line("bitmap", _bitmap(bitmap))
    plain = {key: value for key, value in specific.items() if isinstance(value, str | int)}
    if plain:
        yield _line("details", ", ".join(f"{key} {_word(value)}" for key, value in plain.items()))


def _is_record(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _encryption(encrypt: dict[str, object]) -> str:
    words = [str(encrypt["format"])]
    cipher = [str(encrypt[key]) for key in ("cipher-alg", "cipher-mode", "ivgen-alg", "hash-alg") if key in encrypt]
    if cipher:
        words.append("-".join(cipher))
    slots = encrypt.get("slots")
    if isinstance(slots, list):
        used = sum(_is_record(slot) and slot.get("active") is True for slot in slots)
        words.append(f"{used} of {len(slots)} key slots used")
    return ", ".join(words)


def _bitmap(bitmap: dict[str, object]) -> str:
    grain = bitmap.get("granularity")
    size = f", a bit for {format_size(grain)}" if isinstance(grain, int) else ""
    flags = bitmap.get("flags")
    state = ", ".join(map(str, flags)) if isinstance(flags, list) and flags else "disabled"
    return f"{bitmap.get('name')}{size}, {state}"
