"""An open VMDK: its parts in a row, as one disk."""

from __future__ import annotations

import os
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError
from virtkit.disk.format import Extent, Facts
from virtkit.disk.formats.vmdk import parents
from virtkit.disk.formats.vmdk.descriptor import NO_PARENT
from virtkit.disk.formats.vmdk.grains import SparsePart
from virtkit.disk.reference import Reference
from virtkit.disk.runs import merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.format import Image
    from virtkit.disk.formats.vmdk.descriptor import Descriptor
    from virtkit.disk.formats.vmdk.part import Part


class VmdkImage:
    def __init__(self, file: File, text: Descriptor, parts: Sequence[Part], access: Access) -> None:
        self.file = file
        self.descriptor = text
        self._access = access
        self.arrange(parts)

    def arrange(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        ends = list(accumulate((part.size for part in self.parts), initial=0))
        self.starts, self.size = ends[:-1], ends[-1]

    @property
    def files(self) -> tuple[File, ...]:
        """Parts may share a file."""
        return tuple(dict.fromkeys([self.file, *(part.file for part in self.parts if part.file)]))

    @property
    def backing(self) -> Reference | None:
        if self.descriptor.parent:
            return Reference(self.descriptor.parent, "vmdk")
        return self._found_parent if self._parent_uuid else None

    @cached_property
    def _found_parent(self) -> Reference:
        return parents.find(self.file, self._parent_uuid, self._access)

    @property
    def _parent_uuid(self) -> str:
        return parents.uuid_in(self.descriptor)

    @property
    def stands_on_parent(self) -> bool:
        """Whether holes show another image, as far as this one and the user say."""
        return bool(self.descriptor.parent or self._parent_uuid or self._access.parent)

    def check_backing(self, below: Image) -> None:
        """VMware compares content ids, VirtualBox UUIDs of the last change."""
        if not isinstance(below, VmdkImage):
            raise ImageError(
                f"{self.file.name}: parent {below.file.name} is no VMDK, expected one",
                hint=f"virtkit disk convert -O vmdk {below.file.name} parent.vmdk",
            )
        if self.descriptor.parent is None:
            self._compare(below, "modification UUID", self._uuid(parents.PARENT_CHANGE), below.uuid_of_change)
        else:
            wanted = NO_PARENT if self.descriptor.parent_cid is None else self.descriptor.parent_cid
            self._compare(below, "CID", f"{wanted:08x}", f"{below.descriptor.cid:08x}")

    @property
    def uuid_of_change(self) -> str:
        return self._uuid(parents.CHANGE)

    def _uuid(self, key: str) -> str:
        return self.descriptor.pairs.get(key, parents.NOBODY[-1])

    def _compare(self, below: VmdkImage, what: str, wanted: str, found: str) -> None:
        if wanted != found:
            raise ImageError(
                f"{self.file.name}: parent {below.file.name} was changed after this image was made on it: "
                f"its {what} is {found}, expected {wanted}",
                hint=f"if its content is right: virtkit disk rebase -u -b {below.file.name} -F vmdk {self.file.name}",
            )

    @property
    def facts(self) -> Facts:
        parent_cid = NO_PARENT if self.descriptor.parent_cid is None else self.descriptor.parent_cid
        specific: dict[str, object] = {
            "create-type": self.descriptor.create_type,
            "cid": self.descriptor.cid,
            "parent-cid": parent_cid,
            "extents": [self._told(part) for part in self.parts if part.file],
        }
        if any(isinstance(part, SparsePart) and part.damaged for part in self.parts):
            specific["redundant-directory-used"] = True  # no key of qemu-img, which reads the first one alone
        return Facts(self.grain, dirty=self._unclean, compressed=self._compressed, specific=specific)

    @property
    def grain(self) -> int | None:
        """Bytes; None where the parts differ, or have none."""
        kinds = {(part.grain, part.compressed) for part in self.parts}
        return kinds.pop()[0] or None if len(kinds) == 1 else None

    @property
    def _compressed(self) -> bool:
        return any(part.compressed for part in self.parts)

    @property
    def _unclean(self) -> bool:
        return any(isinstance(part, SparsePart) and part.shape.unclean for part in self.parts)

    def _told(self, part: Part) -> dict[str, object]:
        """qemu-img's keys."""
        name = part.file.name if part.file else ""
        return {
            "filename": name if os.path.dirname(self.file.name) else name.removeprefix("./"),
            "format": part.kind,
            "virtual-size": part.size,
            **({"cluster-size": part.grain} if part.grain else {}),
            **({"compressed": True} if part.compressed else {}),
        }

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        return merged(self._extents(start, start + length)) if length else iter(())

    def _extents(self, start: int, end: int) -> Iterator[Extent]:
        for number in range(self.part_at(start), len(self.parts)):
            part, base = self.parts[number], self.starts[number]
            first, last = max(start, base), min(end, base + part.size)
            if first >= end:
                return
            for extent in part.extents(first - base, last - first) if first < last else ():
                yield extent._replace(start=extent.start + base) if base else extent

    def part_at(self, at: int) -> int:
        """The number of the part that holds byte ``at`` of the disk."""
        return max(bisect_right(self.starts, at) - 1, 0)

    def close(self) -> None:
        for file in self.files:
            file.close()
