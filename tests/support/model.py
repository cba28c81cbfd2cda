"""What may be done to an open disk, and a disk in memory that knows what it must read as afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from support.images import KIB
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from virtkit.disk.live import LiveChain

LARGEST = 700 * KIB  # bytes; of a disk that grows


class Step(NamedTuple):
    """``at`` and ``length`` are bytes; they are cut to what lies within the disk."""

    verb: str  # write, zero, discard, resize, flush, read, reopen
    at: int = 0
    length: int = 0
    byte: int = 0

    def __repr__(self) -> str:
        return f"{self.verb} {self.at} {self.length} {self.byte}"


def steps(
    most: int = 14, verbs: tuple[str, ...] = ("write", "zero", "discard", "resize")
) -> st.SearchStrategy[list[Step]]:
    """Odd offsets and lengths beside even ones: sectors, clusters, and one byte more or less."""
    round_number = st.integers(0, LARGEST // 4096).map(lambda index: index * 4096)
    odd = st.builds(lambda at, by: max(at + by, 0), round_number, st.sampled_from((-513, -512, -1, 1, 511, 512)))
    edge = st.sampled_from((0, 512, 4096, 65536, LARGEST))
    offset = st.one_of(round_number, odd, edge, st.integers(0, LARGEST))
    length = st.one_of(st.integers(1, 1024), st.sampled_from((512, 4096, 65536)), st.integers(1, 200 * KIB))
    change = st.builds(Step, st.sampled_from(verbs), offset, length, st.integers(1, 255))
    rest = st.builds(Step, st.sampled_from(("flush", "read", "reopen")), offset, length)
    return st.lists(st.one_of(change, change, change, rest), max_size=most)


class Model:
    """``content`` is what the disk must read as."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)

    def follow(self, step: Step, disk: LiveChain) -> None:
        """Do one step to both, and look whether they still agree there."""
        at = min(step.at, len(self.content))
        end = min(at + step.length, len(self.content))
        if step.verb == "write":
            data = _pattern(end - at, step.byte)
            disk.write(at, data)
            self.content[at:end] = data
        elif step.verb == "zero":
            disk.zero(at, end - at)
            self.content[at:end] = bytes(end - at)
        elif step.verb == "discard":
            disk.discard(at, end - at)
            self._take_discarded(at, disk.read(at, end - at))
        elif step.verb == "resize":
            self._resize(disk, step.at // 512 * 512)
        elif step.verb == "flush":
            disk.flush()
        assert disk.read(at, end - at) == self.content[at:end], step

    def _resize(self, disk: LiveChain, size: int) -> None:
        try:
            disk.resize(size)
        except NotSupportedError:
            return
        del self.content[size:]
        self.content.extend(bytes(size - len(self.content)))

    def _take_discarded(self, at: int, found: bytes) -> None:
        """A discarded byte reads as zero or as before."""
        for index, byte in enumerate(found, at):
            assert byte in {0, self.content[index]}, index
        self.content[at : at + len(found)] = found


def _pattern(length: int, byte: int) -> bytes:
    """No two sectors of it are alike, so that one in the wrong place is seen; zeros where ``byte`` is 0."""
    if not byte:
        return bytes(length)
    return b"".join(bytes([(byte + index) % 255 + 1]) * 64 for index in range(-(-length // 64)))[:length]
