"""What a disk format has to offer. A format says where the bytes are; ``disk/copying`` moves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from virtkit.disk.reference import Reference as Reference  # noqa: PLC0414, TC001  others import it from here

if TYPE_CHECKING:
    from typing import TypeAlias

    from virtkit.core.progress import Sink
    from virtkit.disk.access import Access
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


class Snapshot(NamedTuple):
    """An internal snapshot: the disk, and maybe the memory of a running machine, as they were."""

    id: str
    name: str
    size: int  # bytes of the guest's disk then
    state_size: int = 0  # bytes of the machine's state; 0: the disk alone
    date: float = 0.0  # seconds since the epoch
    clock: int = 0  # nanoseconds that the machine had run
    instructions: int | None = None  # that it had executed, where they are counted


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
    def file(self) -> File:
        """The one that the user named."""
        ...

    @property
    def files(self) -> tuple[File, ...]:
        """``file`` and the others that the image itself consists of: extents, a data file; no backing image."""
        ...

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


@runtime_checkable
class GrainedImage(Image, Protocol):
    """An image that tells how it would be written although it was opened for reading."""

    @property
    def unit(self) -> int:
        """As ``LiveImage.unit``."""
        ...


@runtime_checkable
class LiveImage(Image, Protocol):
    """An image that was opened with ``access.writable``. One thread at a time.

    ``start`` and ``length`` are multiples of a sector (512 bytes) within ``size``; bytes are on stable storage after
    ``flush``. What ``extents`` tells is at any time what was written last, flushed or not.

    Killed at any moment, or without power, the image is as after the last ``flush`` or later: new data may be missing
    and space may leak, but no metadata is wrong. So room is counted before it is used, data is written before an
    entry names it, and what an entry named is used for something else only when the changed entry is stored.
    """

    @property
    def unit(self) -> int:
        """Bytes; room is made in units of this, at multiples of this."""
        ...

    def write(self, start: int, data: Buffer) -> None:
        """Overwrite the range.

        Where it begins or ends within a unit that is a HOLE over a backing image, the caller gives the whole unit (it
        knows what lies below). All else is merged here: zeros, compressed, shared or encrypted units.
        """
        ...

    def zero(self, start: int, length: int) -> None:
        """Whole units, or up to the end of the disk: they read as zeros from now on, also over a backing image."""
        ...

    def discard(self, start: int, length: int) -> None:
        """Whole units, or up to the end: the guest needs them no more.

        They read as zeros from now on and give their room back; where the format cannot say that (no zero flag, over
        a backing image) they stay as they are.
        """
        ...

    def forget(self, start: int, length: int) -> None:
        """Whole units, or up to the end: they become HOLEs again. The backing image answers; zeros without."""
        ...

    def resize(self, size: int) -> None:
        """Bytes, a multiple of a sector. New room is a HOLE; a cut tail is gone. NotSupportedError."""
        ...

    def set_backing(self, backing: Reference | None, below: Image | None) -> None:
        """Name another backing image (``below``, opened), or none. NotSupportedError where the format has none."""
        ...

    def flush(self) -> None:
        """Return when everything written is on stable storage and the metadata say so."""
        ...


@runtime_checkable
class Heir(Image, Protocol):
    """An image that can tell whether a backing image is the one that it was made on."""

    def check_backing(self, below: Image) -> None:
        """ImageError where it is not (another content id, another modification time ...)."""
        ...


@runtime_checkable
class SnapshotImage(Image, Protocol):
    """An image that keeps earlier states in itself; names and ids are told apart as qemu-img does: the id wins."""

    def snapshots(self) -> list[Snapshot]: ...

    def view(self, name: str) -> Image:
        """The disk as it was, read-only; closed with the image. NotFoundError."""
        ...

    def read_state(self, name: str, at: int, length: int) -> bytes:
        """Bytes of the machine's state that a snapshot keeps."""
        ...


@runtime_checkable
class LiveSnapshotImage(SnapshotImage, LiveImage, Protocol):
    def create_snapshot(self, snapshot: Snapshot, state: Iterator[Buffer] = ...) -> Snapshot:
        """Keep the disk as it is now; ``id`` "" takes the next free one. ``state``: the machine's, piece by piece.

        Returns it as stored. UsageError where the name is taken.
        """
        ...

    def apply_snapshot(self, name: str) -> None:
        """The disk is as it was then, its size too. NotFoundError."""
        ...

    def delete_snapshot(self, name: str) -> None: ...


@runtime_checkable
class CompactImage(LiveImage, Protocol):
    """A live image whose file can be made shorter without a second one."""

    def compact(self, report: Sink) -> None:
        """Move what lies at the end of the file into free room further in front and cut the file.

        May be broken off (``report`` raises, SIGKILL) at any moment; going on later is starting again.
        """
        ...


@runtime_checkable
class PackingImage(LiveImage, Protocol):
    """A live image that can keep new data compressed."""

    def write_compressed(self, start: int, data: Buffer) -> None:
        """Whole clusters (``facts.cluster_size``), or up to the end of the disk; plainly where that saves nothing.

        NotSupportedError where this image holds no compressed data (it is encrypted, its data is in another file).
        """
        ...


class Bitmap(NamedTuple):
    """A dirty bitmap that an image keeps: which stretches of its disk were written since it was made."""

    name: str
    granularity: int  # bytes that one bit stands for; a power of two
    enabled: bool = True  # a running machine goes on recording in it
    broken: bool = False  # its machine died while recording: what it says is worth nothing


Stretch: TypeAlias = tuple[int, int]
"""[from, to) in bytes."""


@runtime_checkable
class BitmapImage(Image, Protocol):
    def bitmaps(self) -> list[Bitmap]: ...

    def read_bitmap(self, name: str) -> Iterator[Stretch]:
        """The stretches that were written, in order and apart; the last one ends with the disk at most.

        NotFoundError; ImageError where it is broken.
        """
        ...


@runtime_checkable
class LiveBitmapImage(BitmapImage, LiveImage, Protocol):
    def store_bitmap(self, bitmap: Bitmap, dirty: Iterable[Stretch]) -> None:
        """Keep a bitmap; one of the same name is replaced. ``dirty`` as ``read_bitmap`` gives it. UsageError."""
        ...

    def delete_bitmap(self, name: str) -> None:
        """NotFoundError."""
        ...


class Place(NamedTuple):
    """Room for new data of the guest. All numbers are bytes."""

    file: File
    at: int
    length: int
    seal: Seal | None = None


Seal: TypeAlias = Callable[[int, Buffer], Buffer]
"""Encrypt data (a multiple of a sector) that will be written at that byte of ``Place.file``."""


class Writer(Protocol):
    """A new image being laid out. ``place`` and ``store`` may be called from several threads."""

    @property
    def unit(self) -> int:
        """Bytes; data is placed in multiples of this, at multiples of this."""
        ...

    def place(self, start: int, length: int) -> list[Place]:
        """Room for guest bytes [start, start + length), both multiples of ``unit`` or up to the disk's end, in order.

        Each guest byte is placed at most once. What is never placed reads as zeros, or as the backing image has it.
        """
        ...

    def store(self, start: int, coded: Buffer) -> None:
        """Append the compressed bytes of the unit at ``start``. NotSupportedError if the format cannot."""
        ...

    def blank(self, start: int, length: int) -> None:
        """Zeros over a backing image; as ``place``, but no room. Called for images with a backing image only."""
        ...

    def finish(self) -> None:
        """Write the metadata, the header last. Until then the file is no image of its format."""
        ...


@runtime_checkable
class SettlingWriter(Writer, Protocol):
    """A writer that collects compressed units, to write many of them at once."""

    def settle(self) -> None:
        """Write those that were stored so far. Where anything lies is the same with and without this."""
        ...


class Option(NamedTuple):
    """One of ``-o``'s options of a format."""

    name: str  # qemu-img's where it has the option
    about: str  # a line of help: what it does and which values it takes
    default: str = ""


class Blank(NamedTuple):
    """What a new image shall be."""

    size: int  # bytes that the guest sees
    data: int  # the most bytes that will be placed or stored (in whole units): metadata in front is sized by it
    options: Mapping[str, str]  # only names that the format has
    create: Callable[[str], File]  # another file beside the image, for extents and data; UsageError if it exists
    backing: Reference | None = None
    below: Image | None = None  # the backing image, opened
    secret: bytes | None = None  # passphrase, for images that are encrypted
    coded: bool = False  # whether units will be stored compressed
    bitmaps: tuple[Bitmap, ...] | None = None  # for ``measure``: what the source keeps; None: it cannot keep any


class Measured(NamedTuple):
    """``qemu-img measure``: bytes of the file."""

    required: int  # with the data that there is
    fully_allocated: int  # once the guest has written everywhere
    bitmaps: int | None = None


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

    def open(self, file: File, access: Access = ...) -> Image:
        """Read the header and check every number in it; CorruptImageError, NotSupportedError.

        With ``access.writable`` the answer is a LiveImage, or NotSupportedError says why it cannot be. Opening alone
        changes nothing in the file. Files that the header names are opened through ``access`` alone.
        """
        ...


@runtime_checkable
class WritableFormat(Format, Protocol):
    @property
    def options(self) -> tuple[Option, ...]: ...

    def writer(self, file: File, blank: Blank) -> Writer:
        """A new image in the empty ``file``. UsageError for values of options that the format does not have."""
        ...

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        """A function that compresses one unit, and answers None where that saves nothing. None: cannot compress."""
        ...

    def measure(self, blank: Blank) -> Measured:
        """How long the file of an image made from ``blank`` becomes; ``blank.data`` is placed plainly."""
        ...


@runtime_checkable
class EncodingFormat(WritableFormat, Protocol):
    def must_encode(self, options: Mapping[str, str]) -> bool:
        """Whether images with these options hold compressed data only: they are compressed without ``-c`` too."""
        ...


@runtime_checkable
class GrainedFormat(WritableFormat, Protocol):
    def unit(self, options: Mapping[str, str]) -> int:
        """``Writer.unit`` of images with these options, before there is one: ``measure`` counts whole units."""
        ...


class Envelope(NamedTuple):
    """The metadata of an image whose data lies behind them as it lies in a raw disk. All numbers are bytes."""

    room: int  # in front of the guest's first byte
    size: int  # of the file
    head: bytes  # of the file; its first sector alone makes the file an image
    unfinished: bytes  # a sector in place of that: whoever knows the format refuses the file
    parts: Callable[[], Iterator[tuple[int, Buffer]]]  # what else lies in the room, and at which byte


@runtime_checkable
class EnvelopingFormat(WritableFormat, Protocol):
    """A format that can be put around a raw disk."""

    def envelope(self, size: int, data: Sequence[Stretch], options: Mapping[str, str]) -> Envelope:
        """For a disk of ``size`` bytes with ``data`` in it, in order. UsageError, NotSupportedError.

        The same question is answered with the same bytes at any time.
        """
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


@runtime_checkable
class RepairableFormat(CheckableFormat, Protocol):
    def repair(self, image: Image, *, leaks_only: bool, report: Sink = ...) -> Findings:
        """Mend what ``check`` finds (only leaks, or all) by writing to ``image.file``; what is left is in the answer.

        ``report`` is told each change in a Note. The image is to be closed then: what it knows of itself may be old.
        The caller has made ``image.file`` record what is overwritten, or rehearse it (mending/rehearsal.py).
        """
        ...


@runtime_checkable
class AmendableFormat(WritableFormat, Protocol):
    @property
    def amendable(self) -> tuple[Option, ...]:
        """What ``amend`` can change."""
        ...

    def amend(self, image: Image, options: Mapping[str, str], report: Sink) -> None:
        """Change options of an image that was opened for writing, and flush it; each change is told in a Note.

        Passphrases are the options ``encrypt.old-secret`` and ``encrypt.new-secret``, decoded as file names are.
        UsageError, NotSupportedError where that cannot be changed.
        """
        ...
