"""From the file that the user named to all parts of the disk, each checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError, ImageError, NotSupportedError
from virtkit.core.units import SECTOR
from virtkit.disk.formats.vmdk import cowd, descriptor, flat, layout, parents, signature
from virtkit.disk.formats.vmdk.grains import SparsePart
from virtkit.disk.formats.vmdk.sesparse import SeSparsePart
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.formats.vmdk.descriptor import Descriptor, Line
    from virtkit.disk.formats.vmdk.part import Part

SPARSE_KINDS = ("SPARSE", "VMFSSPARSE", "VMFSTHIN")
ONE_FILE = ("monolithicSparse", "streamOptimized")
KINDS = (*flat.KINDS, *SPARSE_KINDS, "SESPARSE", "ZERO")


class Make(NamedTuple):
    """What parts are made of: those that are only read, or those that are written too."""

    sparse: Callable[[File, layout.Header, layout.Shape, str, int], Part]
    flat: Callable[[File, str, int, int], Part]
    zero: Callable[[int], Part]


_PART = "is one part of a disk of several files, expected the descriptor that names them"


HINT = "virtkit disk convert {} new.qcow2"


def read(file: File, access: Access, make: Make) -> tuple[Descriptor, list[Part]]:
    """The descriptor and the parts.

    ImageError where it stands on something that nobody names; CorruptImageError, NotSupportedError,
    ForbiddenReferenceError, NotFoundError. Files of parts are closed then.
    """
    text, parts = _read(file, access, make)
    if text.parent_cid and not (text.parent or access.parent or parents.uuid_in(text)):
        close_all(parts, but=file)
        raise ImageError(
            f"{file.name}: stands on an image with CID {text.parent_cid:08x}, whose name it does not say",
            hint="if you know it: --parent FILE",
        )
    return text, parts


def close_all(parts: Iterable[Part], *, but: File) -> None:
    """The files of ``parts`` except that one, which the caller has opened."""
    for file in {part.file for part in parts if part.file} - {but}:
        file.close()


def _read(file: File, access: Access, make: Make) -> tuple[Descriptor, list[Part]]:
    head = file.read(0, SECTOR)
    if head[:4] == signature.COWD_MAGIC or signature.is_sesparse(head):
        raise NotSupportedError(f"{file.name}: {_PART}", hint="ls *.vmdk")
    if head[:4] != signature.MAGIC:
        text = descriptor.read(file, 0, file.size)._replace(room=descriptor.MAX_SIZE)
        return text, _Parts(file, access, make).open_all(text)
    header = layout.read_header(file)
    if not header.descriptor_offset or file.read(header.descriptor_offset * SECTOR, 1) in {b"\0", b""}:
        raise NotSupportedError(f"{file.name}: {_PART}", hint="ls *.vmdk")
    text = descriptor.read(file, header.descriptor_offset * SECTOR, header.descriptor_size * SECTOR)
    if not header.capacity and text.create_type not in ONE_FILE:
        return text, _Parts(file, access, make).open_all(text)
    if [line.kind for line in text.extents] not in (["SPARSE"], []):
        kinds = ", ".join(line.kind for line in text.extents[:8])
        raise NotSupportedError(f"{file.name}: extents are {kinds} in a sparse file, expected SPARSE alone")
    said = text.extents[0].sectors if text.extents else header.capacity
    return text, [make.sparse(file, header, exact(header.shape, said), "", 0)] if header.capacity else []


def exact(shape: layout.Shape, said: int) -> layout.Shape:
    """VirtualBox rounds the header's capacity up to a grain; how many sectors there are, the descriptor says."""
    rounded = 0 < said <= shape.capacity < said + shape.grain_size
    return shape._replace(capacity=said) if rounded else shape


class _Parts:
    """Opens what a descriptor names. A file that several lines name is opened once."""

    def __init__(self, file: File, access: Access, make: Make) -> None:
        self._image = file
        self._access = access
        self._make = make
        self._files: dict[str, File] = {}
        self._tables: set[tuple[int, int]] = set()  # identities of files that have their own tables

    def open_all(self, text: Descriptor) -> list[Part]:
        if not text.extents:
            raise CorruptImageError(
                self._image.name, "descriptor", found="without extents", expected='RW SECTORS KIND "file"', offset=0
            )
        parts: list[Part] = []
        base = 0
        try:
            for line in text.extents:
                if line.sectors:
                    parts.append(self._open(line, base))
                    base += parts[-1].size
        except BaseException:
            for file in self._files.values():
                file.close()
            raise
        return parts

    def _open(self, line: Line, base: int) -> Part:
        size = line.sectors * SECTOR
        if line.kind == "ZERO":
            return self._make.zero(size)
        if line.access == "NOACCESS":
            raise NotSupportedError(f"{self._where(line)} is NOACCESS: nobody may read it, expected RW or RDONLY")
        if line.kind not in KINDS:
            raise NotSupportedError(f"{self._where(line)} is {line.kind}, expected one of {', '.join(KINDS)}")
        file = self._file(line)
        if line.kind in flat.KINDS:
            return self._make.flat(file, line.kind, self._offset(line) * SECTOR, size)
        return self._open_sparse(file, line, base)

    def _offset(self, line: Line) -> int:
        """Sectors. FLAT says it always; VMFS starts at 0 unless it says something else."""
        if line.offset is None and line.kind == "FLAT":
            raise self._corrupt(line, "without an offset", 'FLAT "file" OFFSET')
        return line.offset or 0

    def _open_sparse(self, file: File, line: Line, base: int) -> Part:
        if file.identity in self._tables:
            raise self._corrupt(line, f"{line.name} again", "a sparse file that no other line names")
        self._tables.add(file.identity)
        part = self._load_sparse(file, line, base)
        if part.size < line.sectors * SECTOR:
            raise self._corrupt(line, f"{line.sectors} sectors", f"at most the {part.size // SECTOR} of {line.name}")
        return part

    def _load_sparse(self, file: File, line: Line, base: int) -> Part:
        magic = file.read(0, 8)
        if line.kind == "SESPARSE":
            return SeSparsePart(file)
        if magic[:4] == signature.COWD_MAGIC:
            return SparsePart(file, cowd.read_shape(file), line.kind, base)
        if magic[:4] == signature.MAGIC:
            header = layout.read_header(file)
            if header.capacity:
                return self._make.sparse(file, header, exact(header.shape, line.sectors), line.kind, base)
        raise self._corrupt(line, f"{line.name}, which has no tables", "a sparse extent: signature KDMV or COWD")

    def _file(self, line: Line) -> File:
        if line.name not in self._files:
            opened = self._access.open(self._image, Reference(line.name, None), what="extent file")
            self._files[line.name] = opened
            if opened.identity == self._image.identity:
                raise self._corrupt(line, f"{line.name}, the descriptor itself", "another file")
        return self._files[line.name]

    def _where(self, line: Line) -> str:
        return f"{self._image.name}: extent of descriptor line {line.number}"

    def _corrupt(self, line: Line, found: str, expected: str) -> CorruptImageError:
        field = f"extent of descriptor line {line.number}"
        return CorruptImageError(self._image.name, field, found=found, expected=expected, offset=0)
