"""An open qcow2 image: its map, its facts, the states it keeps."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.format import Reference
from virtkit.disk.formats.qcow2 import past, snapshots
from virtkit.disk.formats.qcow2.encryption import unlock
from virtkit.disk.formats.qcow2.facts import read_facts
from virtkit.disk.formats.qcow2.head import Head, text
from virtkit.disk.formats.qcow2.layout import SUBCLUSTERS, Extension, Header, Incompatible
from virtkit.disk.formats.qcow2.mapping import GuestMap, Storage, Tables
from virtkit.disk.formats.qcow2.past import View
from virtkit.disk.runs import read_table

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Bitmap, Extent, Facts, Snapshot, Stretch
    from virtkit.disk.formats.qcow2.encryption import Lock


class Qcow2Image:
    """The external data file and the key are asked for when the guest's bytes are: ``info`` does without."""

    def __init__(self, file: File, head: Head, access: Access = READ_ONLY) -> None:
        self.file, self.access = file, access
        self._head = head
        self._outside: File | None = None
        if head.has(Incompatible.DATA_FILE) and not head.extensions.get(Extension.DATA_FILE):
            at = Header.SIZE
            raise CorruptImageError(file.name, "data file", found="not named", expected="an extension", offset=at)

    @property
    def head(self) -> Head:
        return self._head

    @property
    def size(self) -> int:
        return self.head.header.size

    @property
    def backing(self) -> Reference | None:
        return self.head.backing

    @property
    def files(self) -> tuple[File, ...]:
        return (self.file, self.data) if self.head.has(Incompatible.DATA_FILE) else (self.file,)

    @property
    def facts(self) -> Facts:
        return self._facts

    @property
    def unit(self) -> int:
        """Bytes of what is allocated at once."""
        extended = self.head.has(Incompatible.EXTENDED_L2)
        return self.head.cluster_size // SUBCLUSTERS if extended else self.head.cluster_size

    @property
    def data(self) -> File:
        """What holds the guest's plain bytes. ForbiddenReferenceError, NotFoundError."""
        if not self.head.has(Incompatible.DATA_FILE):
            return self.file
        if self._outside is None:
            name = Reference(text(self.head.extensions[Extension.DATA_FILE]), "raw")
            self._outside = self.access.open(self.file, name, what="data file")
        return self._outside

    @cached_property
    def _facts(self) -> Facts:
        return read_facts(self.file, self.head)

    @cached_property
    def lock(self) -> Lock | None:
        """ImageError where a key is missing or wrong."""
        return unlock(self.file, self.head, self.access.secret)

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        return self.map.extents(start, start + length)

    def snapshots(self) -> list[Snapshot]:
        return [past.told(kept, self.head) for kept in snapshots.read(self.file, self.head)]

    def view(self, name: str) -> View:
        return View(self.storage, self.head, past.find(self.file, self.head, name))

    def read_state(self, name: str, at: int, length: int) -> bytes:
        return self.view(name).read_state(at, length)

    def bitmaps(self) -> list[Bitmap]:
        from virtkit.disk.formats.qcow2 import bitmapreading  #  few ask

        return bitmapreading.listed(self.file, self.head)

    def read_bitmap(self, name: str) -> Iterator[Stretch]:
        from virtkit.disk.formats.qcow2 import bitmapreading  #  likewise

        return bitmapreading.read(self.file, self.head, name)

    def close(self) -> None:
        self.file.close()
        if self._outside:
            self._outside.close()

    @cached_property
    def storage(self) -> Storage:
        return Storage(self.head, self.file, self.data, self.lock.decrypt if self.lock else None)

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.file, self.head)

    @cached_property
    def l1(self) -> array[int]:
        header = self.head.header
        return read_table(self.file, "L1 table", header.l1_offset, header.l1_size, code="Q", endian="big")

    @cached_property
    def map(self) -> GuestMap:
        return GuestMap(self.storage, self.l1, self.tables)
