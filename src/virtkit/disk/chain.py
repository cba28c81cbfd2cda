"""An image on its backing images, as one map: each stretch says which layer answers for it."""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ImageError, NotSupportedError, UnknownFormatError, UsageError
from virtkit.core.units import KIB, MIB, round_down
from virtkit.disk import catalog, gate, pieces
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.decoded import Decoded
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Heir, Image, Kind, Reference
from virtkit.disk.places import Places

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

LOOKED_UP = 256 * KIB  # bytes; larger reads pay for a look at the maps
REACH = 64 * MIB  # bytes of the disk that are looked up together: a dense one is a single run
RUNS = 16  # likewise; a torn one has many
DEEPEST = 200  # layers; deeper chains are mistakes or attacks, and QEMU opens no more either


class Layer(NamedTuple):
    image: Image
    format: str


class Chain:
    """An open image with everything below it. The first layer is the image itself.

    Any thread may call any method; what ``extents`` gives is walked by one at a time.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self.size = layers[0].image.size
        self._turn = threading.RLock()
        self._decoded = Decoded()
        self._places = Places()

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
        known = self._places.read(at, length)
        return self._fetch(at, length) if known is None else known

    def _fetch(self, at: int, length: int) -> bytes:
        length = max(min(length, self.size - at), 0)
        room = memoryview(bytearray(length))
        extents = self.first_extents(at, length)
        for extent in extents:
            pieces.load(extent, room[extent.start - at : extent.end - at], self._decoded)
        if length < LOOKED_UP and [extent.kind for extent in extents] == [Kind.DATA]:
            self._look_around(at)
        return bytes(room)

    def _look_around(self, at: int) -> None:
        """Small reads come in numbers, and near each other."""
        start = round_down(at, LOOKED_UP)
        with self._turn:
            self._places.learn(self.first_extents(start, min(REACH, self.size - start), RUNS))

    def first_extents(self, start: int, length: int, most: int | None = None) -> list[Extent]:
        """``extents``, not more than ``most`` of them, as they are at one moment."""
        with self._turn:
            return list(islice(self.extents(start, length), most))

    def close(self) -> None:
        close(self.layers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_image(path: str, source_format: str | None = None, access: Access = READ_ONLY) -> Layer:
    """The image at ``path`` alone: no backing image that it names is opened."""
    file = File.open(path, writable=access.writable, shared=access.shared)
    try:
        name = catalog.choose(file, source_format, trust_format=access.trust_format)
        return Layer(catalog.load(name).open(file, access), name)
    except BaseException:
        file.close()
        raise


def open_layers(
    path: str,
    source_format: str | None = None,
    access: Access = READ_ONLY,
    *,
    writable: Container[int] = (0,),
    trust_heirs: bool = False,
) -> list[Layer]:
    """The image at ``path`` and all that it stands on.

    Where ``access`` is for writing, it is so for the layers whose depths are ``writable``: by default the first.
    ``trust_heirs``: an image whose backing image has changed since is opened all the same.
    """
    layers = [open_image(path, source_format, access._replace(writable=access.writable and 0 in writable))]
    below = access._replace(trust_format=True)
    parent = access.parent
    try:
        while reference := _reference(layers[-1].image, parent):
            image, parent = layers[-1].image, None
            name = reference.name if access.parent and len(layers) == 1 else _resolved(image, reference, access)
            _keep_finite(layers, name)
            kept = below._replace(writable=access.writable and len(layers) in writable)
            layers.append(_open_backing(name, reference, kept))
            _refuse_loop(layers)
            if isinstance(image, Heir) and not trust_heirs:
                image.check_backing(layers[-1].image)
    except BaseException:
        close(layers)
        raise
    return layers


def open_chain(path: str, source_format: str | None = None, access: Access = READ_ONLY) -> Chain:
    """The image at ``path`` on everything that it names and may open; see ``disk.open``."""
    return Chain(open_layers(path, source_format, access))


def close(layers: Iterable[Layer]) -> None:
    for layer in layers:
        layer.image.close()


def _reference(image: Image, parent: str | None) -> Reference | None:
    """What the image says is below it; ``parent`` is the user's word against the image's."""
    if parent is None:
        return image.backing
    return image.backing._replace(name=parent) if image.backing else Reference(parent, None)


def _resolved(image: Image, reference: Reference, access: Access) -> str:
    return gate.resolve(image.file.name, reference, allow_backing=access.allow_backing)


def _open_backing(path: str, reference: Reference, access: Access) -> Layer:
    """What is written in the image wins over any signature: a raw disk below may carry what its guest wrote."""
    try:
        return open_image(path, reference.format, access)
    except UnknownFormatError as error:
        if not reference.can_be_said:
            return open_image(path, "raw", access)
        raise ImageError(
            f"{path}: format is not said by the image above, and it carries no known signature",
            hint=f"virtkit disk rebase -u -F raw -b {path} IMAGE",
        ) from error
    except UsageError as error:
        raise NotSupportedError(
            f"{path}: format is {reference.format} by the image above, which is not supported"
        ) from error


def _keep_finite(layers: list[Layer], name: str) -> None:
    if len(layers) >= DEEPEST:
        raise ImageError(f"{layers[0].image.file.name}: backing chain has more than {DEEPEST} layers (at {name})")


def _refuse_loop(layers: list[Layer]) -> None:
    *above, last = [layer.image.file.identity for layer in layers]
    if last in above:
        names = " -> ".join(layer.image.file.name for layer in layers)
        raise ImageError(f"{layers[0].image.file.name}: backing chain goes in a circle ({names})")
