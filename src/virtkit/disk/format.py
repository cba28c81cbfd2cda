"""What a disk format has to offer. A format says where the bytes are; ``disk/copy.py`` moves them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from virtkit.disk.file import File

Buffer: TypeAlias = bytes | bytearray | memoryview


class Kind(Enum):
    DATA = "data"  # plain bytes at ``at`` of ``file``: the kernel may copy them
    ZERO = "zero"  # reads as zeros here, whatever lies below
    HOLE = "hole"  # not allocated here: the backing image answers; zeros where there is none
    CODED = "coded"  # compressed or encrypted: ``decode`` what is stored at ``at``


class Extent(NamedTuple):
    """One stretch of a guest's disk and where its bytes are. All numbers are bytes."""

    start: int  # in the guest's disk
    length: int
    kind: Kind
    file: File | None = None  # DATA, CODED: the open file that holds the bytes
    at: int = 0  # DATA, CODED: where in ``file``
    stored: int = 0  # CODED: how much to read at ``at``; an upper bound, may reach past the end of the file
    skip: int = 0  # CODED: where ``start`` lies in the decoded unit
    decode: Decode | None = None  # CODED
    depth: int = 0  # 0: the image itself, 1: its backing image ...
    preallocated: bool = False  # ZERO with room for its data at ``at`` of ``file``

    @property
    def end(self) -> int:
        return self.start + self.length


Decode: TypeAlias = Callable[[Extent, Buffer], Buffer]
"""Turn the ``stored`` bytes of a CODED extent into its whole decoded unit. Runs in any thread."""


class Reference(NamedTuple):
    """Another file that an image names. Nothing is opened before ``disk/gate.py`` agrees."""

    name: str  # as written in the image
    format: str | None  # as written in the image; None: the image does not say


class Facts(NamedTuple):
    """What ``info`` shows besides sizes. ``specific`` uses qemu-img's keys of format-specific data."""

    cluster_size: int | None = None  # bytes
    dirty: bool = False
    compressed: bool = False
    encrypted: bool = False
    specific: Mapping[str, object] | None = None
    snapshots: tuple[Mapping[str, object], ...] = ()  # qemu-img's keys


class Image(Protocol):
    """An open image. Opening has checked the header; no method trusts a number from the file unchecked."""

    @property
    def file(self) -> File: ...

    @property
    def size(self) -> int:
        """Bytes that the guest sees."""
        ...

    @property
    def backing(self) -> Reference | None: ...

    @property
    def facts(self) -> Facts: ...

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        """Cover [start, start + length) exactly: in order, no gaps, none empty, neighbours merged into runs.

        The range lies within ``size``. CorruptImageError where the map contradicts the format.
        """
        ...

    def close(self) -> None: ...


class Writer(Protocol):
    """A new image being laid out. ``place`` and ``store`` may be called from several threads."""

    @property
    def unit(self) -> int:
        """Bytes; data is placed in multiples of this, at multiples of this."""
        ...

    def place(self, start: int, length: int) -> int:
        """Room for guest bytes [start, start + length), both multiples of ``unit`` or up to the disk's end.

        Returns the position in the file; each guest byte is placed at most once. What is never placed reads as zeros.
        """
        ...

    def store(self, start: int, coded: Buffer) -> None:
        """Append the compressed bytes of the unit at ``start``. NotSupportedError if the format cannot."""
        ...

    def finish(self) -> None:
        """Write the metadata, the header last. Until then the file is no image of its format."""
        ...


@runtime_checkable
class Format(Protocol):
    """One module of ``disk/formats`` offers one of these as ``FORMAT``; its name is the module's name."""

    @property
    def title(self) -> str: ...

    @property
    def suffixes(self) -> tuple[str, ...]: ...

    def probe(self, head: bytes) -> bool:
        """Whether the first 1024 bytes (fewer if the file is shorter) carry this format's signature."""
        ...

    def open(self, file: File) -> Image:
        """Read the header and check every number in it; CorruptImageError, NotSupportedError."""
        ...


@runtime_checkable
class WritableFormat(Format, Protocol):
    def writer(self, file: File, size: int, data: int, options: Mapping[str, str]) -> Writer:
        """A new image of ``size`` bytes in the empty ``file``.

        ``data`` is the most bytes that will be placed or stored (in whole units): metadata in front of the data
        is sized by it. UsageError for options that the format does not have.
        """
        ...

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        """A function that compresses one unit, and answers None where that saves nothing. None: cannot compress."""
        ...


class Findings(NamedTuple):
    """What ``check`` found; the counts are qemu-img's."""

    corruptions: int
    leaks: int  # clusters that are counted as used but are not
    image_end: int  # bytes; where the last used cluster ends
    total_clusters: int
    allocated_clusters: int
    fragmented_clusters: int = 0
    compressed_clusters: int = 0
    details: tuple[str, ...] = ()  # one line per finding, the first hundred


class Checked(NamedTuple):
    """What ``disk.check`` answers."""

    format: str
    findings: Findings


@runtime_checkable
class CheckableFormat(Format, Protocol):
    def check(self, image: Image) -> Findings:
        """Hold all metadata of an image that this format opened against each other; the data is not read."""
        ...
