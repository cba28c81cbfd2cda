"""An image on its backing images, as one map: each stretch says which layer answers for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ImageError, NotSupportedError, UnknownFormatError, UsageError
from virtkit.disk import catalog, gate, pieces
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Image, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

DEEPEST = 200  # layers; deeper chains are mistakes or attacks, and QEMU opens no more either


class Layer(NamedTuple):
    image: Image
    format: str


class Chain:
    """An open image with everything below it. The first layer is the image itself."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = tuple(layers)
        self.size = layers[0].image.size

    @property
    def name(self) -> str:
        return self.layers[0].image.file.name

    @property
    def format(self) -> str:
        return self.layers[0].format

    def extents(self, start: int = 0, length: int | None = None) -> Iterator[Extent]:
        """As ``Image.extents``, with ``depth``. HOLE is left only where no layer has anything."""
        yield from self._walk(0, start, self.size - start if length is None else length)

    def _walk(self, depth: int, start: int, length: int) -> Iterator[Extent]:
        layer = self.layers[depth]
        below = self.layers[depth + 1].image.size if depth + 1 < len(self.layers) else 0
        for extent in layer.image.extents(start, length):
            if extent.kind is Kind.HOLE and extent.start < below:
                yield from self._descend(depth, extent, below)
            else:
                yield extent._replace(depth=depth) if depth else extent

    def _descend(self, depth: int, hole: Extent, below: int) -> Iterator[Extent]:
        """What the backing image says; where it is shorter than the image, there are zeros."""
        yield from self._walk(depth + 1, hole.start, min(hole.end, below) - hole.start)
        if hole.end > below:
            yield Extent(below, hole.end - below, Kind.HOLE, depth=depth)

    def read(self, at: int, length: int) -> bytes:
        """The guest's bytes; fewer than ``length`` only at the end of the disk."""
        length = max(min(length, self.size - at), 0)
        room = memoryview(bytearray(length))
        for extent in self.extents(at, length):
            pieces.load(extent, room[extent.start - at : extent.end - at])
        return bytes(room)

    def close(self) -> None:
        for layer in self.layers:
            layer.image.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_image(path: str, source_format: str | None = None, *, trust_format: bool = False) -> Layer:
    """The image at ``path`` alone: nothing that it names is opened."""
    file = File.open(path)
    try:
        return _layer(file, catalog.choose(file, source_format, trust_format=trust_format))
    except BaseException:
        file.close()
        raise


def open_chain(
    path: str, source_format: str | None = None, *, allow_backing: bool = False, trust_format: bool = False
) -> Chain:
    """The image at ``path`` on everything that it names and may open; see ``disk.open``."""
    layers = [open_image(path, source_format, trust_format=trust_format)]
    try:
        while reference := layers[-1].image.backing:
            name = gate.resolve(layers[-1].image.file.name, reference, allow_backing=allow_backing)
            _keep_finite(layers, name)
            layers.append(_open_backing(name, reference.format))
            _refuse_loop(layers)
    except BaseException:
        Chain(layers).close()
        raise
    return Chain(layers)


def _layer(file: File, name: str) -> Layer:
    return Layer(catalog.load(name).open(file), name)


def _open_backing(path: str, written: str | None) -> Layer:
    """``written`` in the image wins over any signature: a raw disk below may carry what its guest wrote."""
    try:
        return open_image(path, written, trust_format=True)
    except UnknownFormatError as error:
        raise ImageError(
            f"{path}: format is not said by the image above, and it carries no known signature",
            hint=f"qemu-img rebase -u -F raw -b {path} IMAGE",
        ) from error
    except UsageError as error:
        raise NotSupportedError(f"{path}: format is {written} by the image above, which is not supported") from error


def _keep_finite(layers: list[Layer], name: str) -> None:
    if len(layers) >= DEEPEST:
        raise ImageError(f"{layers[0].image.file.name}: backing chain has more than {DEEPEST} layers (at {name})")


def _refuse_loop(layers: list[Layer]) -> None:
    *above, last = [layer.image.file.identity for layer in layers]
    if last in above:
        names = " -> ".join(layer.image.file.name for layer in layers)
        raise ImageError(f"{layers[0].image.file.name}: backing chain goes in a circle ({names})")
