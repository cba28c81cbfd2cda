"""A small ISO 9660 file system: a few files in one directory, under their real names.

ECMA-119 with Rock Ridge (IEEE P1282) for Linux and Joliet for Windows, each with the names as they are. We write it
ourselves: a host of machines often has neither genisoimage nor xorriso, and this is all that a seed needs. ISO and not
FAT: it needs no code page module in the guest, and nobody can write to it. The same files always give the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.core.structs import Struct, array, layout, u8
from virtkit.core.units import divide_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BLOCK = 2048  # bytes; ECMA-119 6.2.2
SYSTEM_AREA = 16  # blocks in front, unused
MOST_NAME = 64  # characters; what Joliet has room for
MOST_FILES = 8  # each directory then fits into one block
_DIRECTORY = 0x02  # file flag
_ROCK_RIDGE = b"RRIP_1991A"
_PRIMARY, _JOLIET, _END = 1, 2, 255  # volume descriptor types
_ROOT = bytes(1)  # a directory's own name, ECMA-119 6.8.2.2
_ABOVE = bytes([1])


@layout("<")
class Record(Struct):
    """A directory record, ECMA-119 9.1; the name follows, and what Rock Ridge adds."""

    length: u8
    attribute_length: u8
    extent: Annotated[bytes, array(8)]  # block, both orders
    size: Annotated[bytes, array(8)]  # bytes, both orders
    date: Annotated[bytes, array(7)]  # zeros: not said
    flags: u8
    unit_size: u8
    gap_size: u8
    volume: Annotated[bytes, array(4)]  # both orders
    name_length: u8


@layout("<")
class Descriptor(Struct):
    """A primary or supplementary volume descriptor, ECMA-119 8.4 and 8.5."""

    type: u8
    identifier: Annotated[bytes, array(5)]
    version: u8
    flags: u8
    system: Annotated[bytes, array(32)]
    volume: Annotated[bytes, array(32)]
    unused: Annotated[bytes, array(8)]
    blocks: Annotated[bytes, array(8)]  # both orders
    escapes: Annotated[bytes, array(32)]  # Joliet: which UCS-2
    set_size: Annotated[bytes, array(4)]
    sequence: Annotated[bytes, array(4)]
    block_size: Annotated[bytes, array(4)]
    table_size: Annotated[bytes, array(8)]  # bytes of the path table
    table_little: Annotated[bytes, array(4)]  # block
    table_little_again: Annotated[bytes, array(4)]
    table_big: Annotated[bytes, array(4)]
    table_big_again: Annotated[bytes, array(4)]
    root: Annotated[bytes, array(34)]
    texts: Annotated[bytes, array(623)]  # publisher ... bibliography
    dates: Annotated[bytes, array(68)]
    structure_version: u8
    reserved: Annotated[bytes, array(1166)]


class _Tree(NamedTuple):
    """One of the two ways to see the files."""

    type: int
    escapes: bytes
    said: Callable[[str], bytes]  # a text in this tree's letters
    named: Callable[[int, str], bytes]  # the name of file number N
    rock_ridge: bool
    table: int  # block of the path table; the big-endian one follows
    root: int  # block of the directory


_WIDE = "utf-16-be"
_TREES = (
    _Tree(_PRIMARY, b"", str.encode, lambda index, _name: b"FILE%d.;1" % index, True, 19, 23),  # noqa: FBT003  a field
    _Tree(_JOLIET, b"%/E", lambda text: text.encode(_WIDE), lambda _, name: f"{name};1".encode(_WIDE), False, 21, 24),  # noqa: FBT003  a field
)
_FIRST_FILE = 25  # block


def image(volume: str, files: Mapping[str, bytes]) -> bytes:
    """The whole file system. UsageError for names and numbers that it has no room for."""
    _check(files)
    places, at = [], _FIRST_FILE
    for content in files.values():
        places.append(at)
        at += divide_up(len(content), BLOCK)
    blocks = [_descriptor(tree, volume, at) for tree in _TREES]
    blocks.append(bytes([_END]) + b"CD001" + bytes([1]))
    for tree in _TREES:
        blocks += [_table(tree, "little"), _table(tree, "big")]
    blocks += [_directory(tree, files, places) for tree in _TREES]
    blocks += files.values()
    return bytes(SYSTEM_AREA * BLOCK) + b"".join(_padded(block) for block in blocks)


def volume_label(head: bytes) -> str:
    """Of an ISO image whose first 17 blocks these are; empty where it is none."""
    at = SYSTEM_AREA * BLOCK
    if len(head) < at + Descriptor.SIZE:
        return ""
    found = Descriptor.parse(head, at)
    if found.type != _PRIMARY or found.identifier != b"CD001":
        return ""
    return found.volume.decode("ascii", "replace").rstrip("\0 ")


def _check(files: Mapping[str, bytes]) -> None:
    if len(files) > MOST_FILES:
        raise UsageError(f"ISO image: has {len(files)} files, expected at most {MOST_FILES}")
    for name in files:
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= MOST_NAME) or set(name) & set("*/:;?\\"):
            raise UsageError(f"ISO image: name is {name!r}, expected at most {MOST_NAME} plain letters")


def _descriptor(tree: _Tree, volume: str, blocks: int) -> bytes:
    filler = tree.said(" ")
    table_size = len(_table(tree, "little"))
    return Descriptor(
        tree.type,
        b"CD001",
        1,
        0,
        filler * (32 // len(filler)),
        tree.said(volume).ljust(32, b" ") if tree.rock_ridge else (tree.said(volume) + filler * 16)[:32],
        b"",
        _both(blocks, 4),
        tree.escapes,
        _both(1, 2),
        _both(1, 2),
        _both(BLOCK, 2),
        _both(table_size, 4),
        tree.table.to_bytes(4, "little"),
        bytes(4),
        (tree.table + 1).to_bytes(4, "big"),
        bytes(4),
        _record(tree.root, BLOCK, _ROOT, directory=True),
        (filler * 623)[:623],
        (b"0" * 16 + b"\0") * 4,
        1,
        b"",
    ).pack()


def _table(tree: _Tree, order: Literal["little", "big"]) -> bytes:
    """A path table, ECMA-119 9.4, of the root alone."""
    return bytes([1, 0]) + tree.root.to_bytes(4, order) + (1).to_bytes(2, order) + _ROOT + bytes(1)


def _directory(tree: _Tree, files: Mapping[str, bytes], places: list[int]) -> bytes:
    rock = tree.rock_ridge
    own = _sharing() + _mode(0o040555, 2) + _extension() if rock else b""
    above = _mode(0o040555, 2) if rock else b""
    records = [
        _record(tree.root, BLOCK, _ROOT, own, directory=True),
        _record(tree.root, BLOCK, _ABOVE, above, directory=True),
    ]
    found = [
        (tree.named(index, name), place, len(content), _mode(0o100444, 1) + _name(name) if rock else b"")
        for index, ((name, content), place) in enumerate(zip(files.items(), places, strict=True))
    ]
    records += [_record(place, size, name, more) for name, place, size, more in sorted(found)]
    return b"".join(records)


def _record(extent: int, size: int, name: bytes, more: bytes = b"", *, directory: bool = False) -> bytes:
    """Of an even length: the name and what follows it are padded."""
    name_padding = b"" if len(name) % 2 else b"\0"
    length = Record.SIZE + len(name) + len(name_padding) + len(more)
    padding = b"\0" * (length % 2)
    flags = _DIRECTORY if directory else 0
    head = Record(length + len(padding), 0, _both(extent, 4), _both(size, 4), b"", flags, 0, 0, _both(1, 2), len(name))
    return head.pack() + name + name_padding + more + padding


def _sharing() -> bytes:
    """SUSP is used here: IEEE P1281 5.3."""
    return b"SP" + bytes([7, 1, 0xBE, 0xEF, 0])


def _extension() -> bytes:
    """And it is Rock Ridge that uses it: IEEE P1281 5.5."""
    return b"ER" + bytes([8 + len(_ROCK_RIDGE), 1, len(_ROCK_RIDGE), 0, 0, 1]) + _ROCK_RIDGE


def _mode(mode: int, links: int) -> bytes:
    """Root's: IEEE P1282 4.1.1."""
    return b"PX" + bytes([36, 1]) + _both(mode, 4) + _both(links, 4) + _both(0, 4) + _both(0, 4)


def _name(name: str) -> bytes:
    """IEEE P1282 4.1.4."""
    return b"NM" + bytes([5 + len(name), 1, 0]) + name.encode()


def _both(value: int, size: int) -> bytes:
    """A number in both orders of bytes, ECMA-119 7.2.3 and 7.3.3."""
    return value.to_bytes(size, "little") + value.to_bytes(size, "big")


def _padded(block: bytes) -> bytes:
    return block.ljust(divide_up(len(block), BLOCK) * BLOCK, b"\0")
