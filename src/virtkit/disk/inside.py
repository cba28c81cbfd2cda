"""An image that lies within another file: a member of a tar archive, as it stands there.

The format reads its metadata through a window. What it then says of where bytes are is moved by as much as the window
is, and refers to the file itself: it is copied, decoded and shared as if there were no archive.
"""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError, ForbiddenReferenceError, NotSupportedError
from virtkit.core.progress import Advanced, Finished, Started, silent
from virtkit.core.units import MIB
from virtkit.disk import catalog
from virtkit.disk.access import READ_ONLY
from virtkit.disk.chain import Layer
from virtkit.disk.conversion import order
from virtkit.disk.conversion.convert import carry_out
from virtkit.disk.conversion.order import Order
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.progress import Sink
    from virtkit.disk.conversion.order import Converted
    from virtkit.disk.format import Buffer, Decode, Extent

GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: with a gzip header and trailer, RFC 1952
_STEP = MIB


class Stretch(NamedTuple):
    """Where the image is; ``name`` is for messages."""

    path: str
    name: str
    start: int = 0  # bytes
    length: int | None = None  # None: up to the file's end
    packed: bool = False  # by gzip: it is unpacked first, into a file without a name
    most: int = 0  # bytes that it may be unpacked to


class Window(File):
    """A part of an open file, to be read; closing it closes the file."""

    __slots__ = ("_length", "_start")

    def __init__(self, file: File, name: str, start: int, length: int) -> None:
        super().__init__(file.fd, name)
        self._start, self._length = start, length

    @property
    def size(self) -> int:
        return self._length

    def read(self, at: int, length: int) -> bytes:
        return super().read(self._start + at, max(min(length, self._length - at), 0))

    def read_into(self, at: int, room: memoryview) -> int:
        return super().read_into(self._start + at, room[: max(self._length - at, 0)])

    def data(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        for begin, stop in super().data(self._start + start, self._start + min(end, self._length)):
            yield begin - self._start, stop - self._start

    def write(self, at: int, data: bytes | bytearray | memoryview) -> None:
        raise NotSupportedError(f"{self.name}: lies within another file, which is only read")


class Inside:
    """The image in a window as a ``Source``; it stands alone."""

    def __init__(self, file: File, window: Window, layer: Layer, start: int) -> None:
        self.layers = (layer,)
        self.size, self.name = layer.image.size, window.name
        self._file, self._window, self._start = file, window, start

    def extents(self, start: int = 0, length: int | None = None) -> Iterator[Extent]:
        for extent in self.layers[0].image.extents(start, self.size - start if length is None else length):
            if extent.file is None:
                yield extent
                continue
            decode = partial(_decode, extent.decode, self._window, self._start) if extent.decode else None
            yield extent._replace(file=self._file, at=extent.at + self._start, decode=decode)


def _decode(decode: Decode, window: Window, start: int, extent: Extent, stored: Buffer) -> Buffer:
    """What is wrong with it is told as of the image, not of the archive."""
    return decode(extent._replace(file=window, at=extent.at - start), stored)


def convert(
    stretch: Stretch,
    target: str,
    *,
    target_format: str,
    source_format: str | None = None,
    size: int | None = None,
    dry_run: bool = False,
    report: Sink = silent,
) -> Converted:
    """As ``disk.convert`` from a whole file, durable, and compared before it appears.

    ForbiddenReferenceError for an image that needs other files.
    """
    with opened(stretch, source_format, os.path.dirname(target) or ".", report) as source:
        wanted = Order(target, target_format, order.grown(source, size), {}, durable=True, verify=True)
        return carry_out(source, wanted, READ_ONLY, report, dry_run=dry_run)


@contextmanager
def opened(
    stretch: Stretch, source_format: str | None = None, beside: str = ".", report: Sink = silent
) -> Iterator[Inside]:
    """Its disk. What is packed needs room in the directory ``beside`` for as long as it is open."""
    with _plain(stretch, beside, report) as (file, start, length):
        window = Window(file, stretch.name, start, length)
        name = catalog.choose(window, source_format)
        image = catalog.load(name).open(window, READ_ONLY)
        if image.backing or image.files != (window,):
            needed = image.backing.name if image.backing else ", ".join(each.name for each in image.files[1:])
            for other in set(image.files) - {window}:
                other.close()
            raise ForbiddenReferenceError(f"{stretch.name}: needs {needed}, expected an image that stands alone")
        yield Inside(file, window, Layer(image, name), start)


def read(stretch: Stretch, most: int) -> bytes:
    """All of a small one that is not packed; CorruptImageError where it is longer than ``most`` bytes."""
    with _plain(stretch, ".", silent) as (file, start, length):
        if length > most:
            found = f"{length} bytes long"
            raise CorruptImageError(stretch.name, "file", found=found, expected=f"at most {most} bytes", offset=0)
        return Window(file, stretch.name, start, length).read(0, length)


@contextmanager
def _plain(stretch: Stretch, beside: str, report: Sink) -> Iterator[tuple[File, int, int]]:
    file = File.open(stretch.path)
    try:
        length = file.size - stretch.start if stretch.length is None else stretch.length
        if stretch.start + length > file.size:
            found, expected = f"{file.size} bytes long", f"at least {stretch.start + length}"
            raise CorruptImageError(stretch.name, "archive", found=found, expected=expected, offset=stretch.start)
        if not stretch.packed:
            yield file, stretch.start, length
            return
        unpacked = File(os.open(beside, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), stretch.name)
        try:
            _unpack(Window(file, stretch.name, stretch.start, length), unpacked, stretch.most, report)
            yield unpacked, 0, unpacked.size
        finally:
            unpacked.close()
    finally:
        file.close()


def _unpack(packed: Window, target: File, most: int, report: Sink) -> None:
    """CorruptImageError for what is no gzip, is cut short, or becomes longer than it may: a few KB can become TBs."""
    step = f"unpack {packed.name}"
    report(Started(step, packed.size))
    stream, done, at = zlib.decompressobj(GZIP), 0, 0
    try:
        while not stream.eof and (chunk := packed.read(at, _STEP)):
            at += len(chunk)
            while chunk and not stream.eof:
                plain = stream.decompress(chunk, _STEP)
                chunk = stream.unconsumed_tail
                if done + len(plain) > most:
                    raise _wrong(packed, f"longer than {most} bytes", "what its description says", at)
                target.write(done, plain)
                done += len(plain)
            report(Advanced(step, at))
    except zlib.error as error:
        raise _wrong(packed, str(error), "a gzip stream", at) from error
    if not stream.eof:
        raise _wrong(packed, f"cut short after {done} bytes", "a whole gzip stream", at)
    report(Finished(step))


def _wrong(packed: Window, found: str, expected: str, at: int) -> CorruptImageError:
    return CorruptImageError(packed.name, "compressed data", found=found, expected=expected, offset=at)
