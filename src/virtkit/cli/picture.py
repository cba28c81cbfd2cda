"""Where a disk holds data, drawn in characters that the reader's terminal shows at the width we count on."""

from __future__ import annotations

import itertools
import os
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.disk.format import Extent

WIDTH, ROWS = 64, 2
LOOK_AT = 64 << 30  # bytes of a disk whose map is read; of a larger one, an even share of every cell
_WIDE = ("zh", "ja", "ko")  # where block characters take two columns
_BRAILLE_DOTS = (0x01, 0x02, 0x04, 0x40, 0x08, 0x10, 0x20, 0x80)  # down the left column, down the right


class Mapped(Protocol):
    """An image, or a chain of them."""

    @property
    def size(self) -> int: ...

    def extents(self, start: int, length: int) -> Iterator[Extent]: ...


class Glyphs(NamedTuple):
    """How to draw: how many cells one character shows, and the character for their shares of data."""

    cells: int
    draw: Callable[[list[float]], str]
    legend: str


def glyphs() -> Glyphs:
    """What ``VIRTKIT_GLYPHS`` says; else what encoding and language of the terminal allow."""
    known = {
        "block": Glyphs(1, lambda shares: _shade("░▒▓█", shares[0]), "█ data  ▒ part  ░ none"),
        "braille": Glyphs(len(_BRAILLE_DOTS), _braille, "⣿ data  ⡇ part  ⠀ none"),
        "ascii": Glyphs(1, lambda shares: _shade(".-+#", shares[0]), "# data  - part  . none"),
    }
    wanted = os.environ.get("VIRTKIT_GLYPHS", "")
    return known[wanted if wanted in known else _suited()]


def _suited() -> str:
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return "ascii"
    names = [os.environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]  # Python itself may set LC_CTYPE
    return "braille" if any(name.startswith(_WIDE) for name in names) else "block"


def _shade(shades: str, share: float) -> str:
    """Nothing and everything have shades of their own."""
    if share <= 0:
        return shades[0]
    if share >= 1:
        return shades[-1]
    return shades[1 if share <= 0.5 else 2]  # noqa: PLR2004  half


def _braille(shares: list[float]) -> str:
    return chr(0x2800 + sum(dot for dot, share in zip(_BRAILLE_DOTS, shares, strict=True) if share > 0))


def draw(image: Mapped, style: Glyphs) -> Iterator[str]:
    """ROWS lines of WIDTH characters, the start of the disk at the top left."""
    shares = _shares(image, WIDTH * ROWS * style.cells)
    for row in range(0, len(shares), WIDTH * style.cells):
        line = shares[row : row + WIDTH * style.cells]
        yield "".join(style.draw(line[at : at + style.cells]) for at in range(0, len(line), style.cells))


def cell_size(image: Mapped) -> int:
    """Bytes that one character stands for, about."""
    return max(image.size // (WIDTH * ROWS), 1)


def _shares(image: Mapped, cells: int) -> list[float]:
    """How much of each cell holds data: 0 to 1. Large disks are sampled at the start of each cell."""
    if not image.size:
        return [0.0] * cells
    edges = [image.size * cell // cells for cell in range(cells + 1)]
    if image.size <= LOOK_AT:
        return _spread(image.extents(0, image.size), edges)
    look = LOOK_AT // cells
    ranges = [(start, min(end - start, look)) for start, end in itertools.pairwise(edges)]
    return [sum(map(_data, image.extents(start, length))) / length for start, length in ranges]


def _data(extent: Extent) -> int:
    return extent.length if extent.kind in (Kind.DATA, Kind.CODED) else 0


def _spread(extents: Iterator[Extent], edges: list[int]) -> list[float]:
    filled = [0] * (len(edges) - 1)
    cell = 0
    for extent in extents:
        if not _data(extent):
            continue
        while edges[cell + 1] <= extent.start:
            cell += 1
        reach = cell
        while reach < len(filled) and edges[reach] < extent.end:
            filled[reach] += max(min(extent.end, edges[reach + 1]) - max(extent.start, edges[reach]), 0)
            reach += 1
    return [part / max(end - start, 1) for part, start, end in zip(filled, edges, edges[1:], strict=False)]
