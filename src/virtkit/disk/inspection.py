"""Whether an image may be given to programs that open it: what it names, claims, hides and contradicts.

Nothing that the image names is opened before the policy agrees, and no work is longer than the metadata that is there.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from virtkit.core.errors import (
    ForbiddenReferenceError,
    NotFoundError,
    NotSupportedError,
    UnknownFormatError,
    UsageError,
    VirtkitError,
)
from virtkit.core.units import format_size
from virtkit.disk import catalog, gate, partitions, signatures
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, Layer, close, open_image, open_layers
from virtkit.disk.file import File
from virtkit.disk.format import CheckableFormat, Kind

if TYPE_CHECKING:
    from virtkit.disk.reference import Reference

Policy = Literal["default", "untrusted"]
LARGEST = 64 << 40  # bytes; of a disk that nobody has to wonder about
_MOST = 500_000  # stretches of the map that are added up
_DEFLATE = 1032  # the most that a byte of deflate can become
_SPARSE = 10_000  # a disk is worth a note where it is so many times as large as its file


class Finding(NamedTuple):
    danger: bool  # the image is not safe; else it is worth knowing
    about: str  # one word for programs
    message: str


class Named(NamedTuple):
    """A file that the image names."""

    what: str
    name: str
    format: str | None


class Inspection(NamedTuple):
    """Sizes in bytes; None where the image could not be opened."""

    filename: str
    format: str | None
    policy: Policy
    virtual_size: int | None
    actual_size: int
    references: tuple[Named, ...]
    findings: tuple[Finding, ...]

    @property
    def safe(self) -> bool:
        return not any(finding.danger for finding in self.findings)


class _Inspector:
    def __init__(self, policy: Policy, largest: int) -> None:
        self.policy = policy
        self.largest = largest
        self.references: list[Named] = []
        self.findings: list[Finding] = []

    @property
    def strict(self) -> bool:
        return self.policy == "untrusted"

    def danger(self, about: str, message: str) -> None:
        self.findings.append(Finding(danger=True, about=about, message=message))

    def note(self, about: str, message: str) -> None:
        self.findings.append(Finding(danger=False, about=about, message=message))

    def judge(self, about: str, message: str) -> None:
        """What is a danger from strangers only."""
        self.findings.append(Finding(self.strict, about, message))


def inspect(
    path: str,
    source_format: str | None = None,
    access: Access = READ_ONLY,
    *,
    policy: str = "default",
    largest: int = LARGEST,
) -> Inspection:
    """Look at an image as at something a stranger sent; never refused because a machine uses it.

    ``policy``: ``default`` lets it name files of its own directory; ``untrusted`` lets it name none, and takes
    compression bombs, oddities and damage for dangers. ``largest``: bytes of a disk that are no danger.
    UsageError; NotFoundError, SystemCallError where the file itself cannot be read.
    """
    known = next((known for known in get_args(Policy) if known == policy), None)
    if known is None:
        raise UsageError(f"policy is {policy}, expected one of {', '.join(get_args(Policy))}")
    inspector = _Inspector(known, largest)
    file = File.open(path, shared=True)
    try:
        actual = file.allocated
        format_ = _format(file, source_format, inspector)
    finally:
        file.close()
    size = _image(path, format_, access, inspector) if format_ else None
    references, findings = tuple(dict.fromkeys(inspector.references)), tuple(dict.fromkeys(inspector.findings))
    return Inspection(path, format_, known, size, actual, references, findings)


def _format(file: File, said: str | None, inspector: _Inspector) -> str | None:
    """What it is, and what else it could be taken for."""
    marks = signatures.found(file)
    try:
        format_ = said or catalog.detect(file)
        catalog.load(format_)
    except UnknownFormatError as error:
        known = ", ".join(mark.format for mark in marks)
        inspector.danger("format", f"no format that virtkit knows{f' ({known}?)' if known else ''}; {error.hint}")
        return None
    for mark in marks:
        if mark.format != format_:
            place = f"at byte {mark.at:#x}" if mark.at >= 0 else f"{-mark.at} bytes before its end"
            inspector.danger(
                "polyglot",
                f"a {format_} image with the signature of {mark.format} {place}: "
                f"a program that guesses the format opens something else",
            )
    return format_


def _image(path: str, format_: str, access: Access, inspector: _Inspector) -> int | None:
    """The image, and what it stands on where the policy lets that be opened; its size."""
    if not inspector.strict:
        try:
            layers = open_layers(path, format_, _watched(access, inspector))
        except VirtkitError as error:
            _refused(error, inspector)
        else:
            return _layers(layers, access, inspector)
    try:
        layer = open_image(path, format_, _watched(access, inspector))
    except VirtkitError as error:
        _refused(error, inspector)
        return None
    return _layers([layer], access, inspector)


def _refused(error: VirtkitError, inspector: _Inspector) -> None:
    if isinstance(error, ForbiddenReferenceError | NotFoundError):
        inspector.danger("reference", error.message)
    elif isinstance(error, NotSupportedError):
        inspector.danger("features", error.message)
    else:
        inspector.danger("damage", error.message)


def _watched(access: Access, inspector: _Inspector) -> Access:
    """As ``access``, but every file that an image names is written down, and opened only where the policy agrees."""

    class Watched(Access):
        __slots__ = ()

        def open(self, image: File, reference: Reference, *, what: str) -> File:
            inspector.references.append(Named(what, reference.name, reference.format))
            if inspector.strict:
                raise ForbiddenReferenceError(f"{image.name}: {what} is {reference.name}, expected none")
            return super().open(image, reference, what=what)

    return Watched(*access._replace(writable=False, shared=True, trust_format=True))


def _layers(layers: list[Layer], access: Access, inspector: _Inspector) -> int:
    try:
        for layer in layers:
            if layer.image.backing:
                _backing(layer.image.file.name, layer.image.backing, access, inspector)
            _claims(layer, inspector)
        if layers[-1].image.backing is None:
            _table(Chain(layers), inspector)
        return layers[0].image.size
    finally:
        close(layers)


def _backing(path: str, backing: Reference, access: Access, inspector: _Inspector) -> None:
    inspector.references.append(Named("backing file", backing.name, backing.format))
    if backing.format is None:
        inspector.danger("probing", f"{path}: the format of backing file {backing.name} is not said, and is guessed")
    if inspector.strict:
        inspector.danger("reference", f"{path}: backing file is {backing.name}, expected none")
    try:
        gate.resolve(path, backing, allow_backing=access.allow_backing)
    except VirtkitError as error:
        _refused(error, inspector)


def _claims(layer: Layer, inspector: _Inspector) -> None:
    """What the header says, held against the files and the map.

    The longest look comes last, and only at what was no danger so far: a map that lies may make it very long.
    """
    for look in (_state, _sizes, _map, _check):
        if look is _check and any(finding.danger for finding in inspector.findings):
            return
        try:
            look(layer, inspector)
        except (NotSupportedError, UsageError) as error:  # an encrypted image without its passphrase, for example
            inspector.note("unread", error.message)
        except VirtkitError as error:
            _refused(error, inspector)


def _state(layer: Layer, inspector: _Inspector) -> None:
    facts, name = layer.image.facts, layer.image.file.name
    if (facts.specific or {}).get("corrupt") is True:
        inspector.danger("damage", f"{name}: is marked as corrupt")
    if facts.dirty:
        inspector.judge("damage", f"{name}: was not closed: its counts may be wrong")
    if facts.encrypted:
        inspector.note("encrypted", f"{name}: is encrypted: what a guest reads was not looked at")
    if facts.snapshots:
        inspector.note("snapshots", f"{name}: keeps {len(facts.snapshots)} of the disk's earlier states")


def _sizes(layer: Layer, inspector: _Inspector) -> None:
    image = layer.image
    held = sum(file.allocated for file in image.files)
    sizes = f"{image.file.name}: shows a disk of {format_size(image.size)} in files of {format_size(held)}"
    if image.size > inspector.largest:
        inspector.danger("size", f"{sizes}, expected at most {format_size(inspector.largest)}")
    elif image.size > _SPARSE * max(held, 1):
        inspector.note("size", sizes)


def _map(layer: Layer, inspector: _Inspector) -> None:
    """More data than the files can hold is data that lies over other data."""
    image = layer.image
    plain, coded, stored = _amounts(layer)
    room = sum(file.size for file in image.files)
    if plain > room + (image.facts.cluster_size or 0):
        inspector.danger(
            "overlap", f"{image.file.name}: names {format_size(plain)} of data in files of {format_size(room)}"
        )
    if coded > _DEFLATE * max(stored, 1) or stored > 4 * room:
        inspector.judge(
            "bomb", f"{image.file.name}: {format_size(room)} of file become {format_size(coded)} when decompressed"
        )


def _amounts(layer: Layer) -> tuple[int, int, int]:
    """Bytes of plain data, of decompressed data, and of what is stored for that; of the first stretches."""
    plain = coded = stored = 0
    for extent in islice(layer.image.extents(0, layer.image.size), _MOST):
        if extent.kind is Kind.DATA:
            plain += extent.length
        elif extent.kind is Kind.CODED:
            coded, stored = coded + extent.length, stored + extent.stored
    return plain, coded, stored


def _check(layer: Layer, inspector: _Inspector) -> None:
    kind, name = catalog.load(layer.format), layer.image.file.name
    if not isinstance(kind, CheckableFormat):
        return
    found = kind.check(layer.image)
    if found.corruptions:
        inspector.danger("damage", f"{name}: check finds {found.corruptions} errors")
    if found.leaks:
        inspector.note("damage", f"{name}: check finds {found.leaks} leaked clusters")
    behind = layer.image.file.size - found.image_end
    if behind > (layer.image.facts.cluster_size or 0):
        inspector.judge("tail", f"{name}: {format_size(behind)} behind its end belong to nothing")


def _table(chain: Chain, inspector: _Inspector) -> None:
    try:
        table = partitions.find(chain)
    except VirtkitError as error:
        inspector.note("partitions", error.message)
        return
    for problem in table.problems if table else ():
        inspector.note("partitions", f"{chain.name}: {problem}")
