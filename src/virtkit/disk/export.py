"""An open disk as several clients use it at the same time: what is served and mounted."""

from __future__ import annotations

import os
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import MIB
from virtkit.disk import pieces
from virtkit.disk.live import LiveChain

if TYPE_CHECKING:
    from virtkit.disk.chain import Chain
    from virtkit.disk.format import Buffer

_STEP = 2 * MIB  # bytes of zeros written at once
_ZEROS = bytes(_STEP)


class Stretch(NamedTuple):
    """Bytes of the disk that all hold data, or all read as zeros and are not stored."""

    start: int
    length: int
    silent: bool

    @property
    def end(self) -> int:
        return self.start + self.length


class Export:
    """Any thread may call any method. Ranges are bytes and lie within ``size``."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._live = chain if isinstance(chain, LiveChain) else None
        self.size = chain.size
        self.about = f"{chain.format} image {os.path.basename(chain.name)}"

    @property
    def writable(self) -> bool:
        return self._live is not None

    @property
    def zeroes_fast(self) -> bool:
        """Whether zeros certainly take no writing: nothing lies below that they would have to cover."""
        return len(self._chain.layers) == 1

    def read(self, at: int, length: int) -> bytes:
        return self._chain.read(at, length)

    def stretches(self, at: int, length: int, most: int | None = None) -> list[Stretch]:
        """Where data is, also by the holes of the files: in order, without gaps, none empty, in turns data and silence.

        They end before the range does where there are more than ``most`` extents.
        """
        extents = self._chain.first_extents(at, length, most)
        stored = list(islice(pieces.stored(extents), most))
        end = stored[-1].end if len(stored) == most else extents[-1].end
        edges = [at]  # where silence begins, data begins, silence begins ...
        for piece in stored:
            if len(edges) > 1 and piece.start == edges[-1]:
                edges[-1] = piece.end
            else:
                edges += [piece.start, piece.end]
        edges.append(end)
        spans = enumerate(pairwise(edges))
        return [Stretch(start, stop - start, silent=not turn % 2) for turn, (start, stop) in spans if start < stop]

    def fetch(self, at: int, length: int) -> None:
        """Have the kernel read what will be wanted soon."""
        for extent in self._chain.first_extents(at, length):
            if extent.file:
                amount = extent.stored or extent.length
                os.posix_fadvise(extent.file.fd, extent.at, amount, os.POSIX_FADV_WILLNEED)

    def write(self, at: int, data: Buffer) -> None:
        self._writing.write(at, data)

    def zero(self, at: int, length: int) -> None:
        """The range reads as zeros from now on; it need not take room."""
        self._writing.zero(at, length)

    def fill(self, at: int, length: int) -> None:
        """As ``zero``, and the room for later writes is taken now."""
        for start in range(at, at + length, _STEP):
            self._writing.write(start, memoryview(_ZEROS)[: min(_STEP, at + length - start)])

    def discard(self, at: int, length: int) -> None:
        """The range is not needed any more."""
        self._writing.discard(at, length)

    def flush(self) -> None:
        """Return when all that was written, by whomever, is on stable storage."""
        if self._live:
            self._live.flush()

    @property
    def _writing(self) -> LiveChain:
        if not self._live:
            raise NotSupportedError(f"{self._chain.name}: is open for reading alone")
        return self._live
