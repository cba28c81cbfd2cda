"""qcow2, versions 2 and 3: QEMU's own format. Specification: QEMU, docs/interop/qcow2.txt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.progress import silent
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.formats.qcow2 import signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from virtkit.core.progress import Sink
    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Envelope, Findings, Image, Measured, Option, Stretch, Writer
    from virtkit.disk.formats.qcow2.image import Qcow2Image


class Qcow2:
    title = "QEMU copy-on-write image"
    suffixes = (".qcow2",)

    def probe(self, head: bytes) -> bool:
        return signature.leads(head)

    def open(self, file: File, access: Access = READ_ONLY) -> Qcow2Image:
        from virtkit.disk.formats.qcow2.head import read_head

        if access.writable:
            from virtkit.disk.formats.qcow2.live import LiveQcow2  #  readers do without

            return LiveQcow2(file, read_head(file), access)
        from virtkit.disk.formats.qcow2.image import Qcow2Image

        return Qcow2Image(file, read_head(file), access)

    @property
    def options(self) -> tuple[Option, ...]:
        from virtkit.disk.formats.qcow2.options import KNOWN

        return KNOWN

    def writer(self, file: File, blank: Blank) -> Writer:
        from virtkit.disk.formats.qcow2.writer import Qcow2Writer  #  readers do without

        return Qcow2Writer(file, blank)

    def unit(self, options: Mapping[str, str]) -> int:
        from virtkit.disk.formats.qcow2.options import parse

        return parse(options).cluster_size

    def measure(self, blank: Blank) -> Measured:
        from virtkit.disk.formats.qcow2.measure import measure

        return measure(blank)

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        from virtkit.disk import codecs
        from virtkit.disk.formats.qcow2.options import parse

        return codecs.encoder(parse(options).compression, level)

    def envelope(self, size: int, data: Sequence[Stretch], options: Mapping[str, str]) -> Envelope:
        from virtkit.disk.formats.qcow2.envelope import envelope

        return envelope(size, data, options)

    def check(self, image: Image) -> Findings:
        from virtkit.disk.formats.qcow2.checking import check
        from virtkit.disk.formats.qcow2.image import Qcow2Image

        if not isinstance(image, Qcow2Image):
            raise TypeError(f"{image.file.name} was not opened as qcow2")
        return check(image.file, image.head)

    def repair(self, image: Image, *, leaks_only: bool, report: Sink = silent) -> Findings:
        from virtkit.disk.formats.qcow2.repair import repair

        return repair(image.file, leaks_only=leaks_only, report=report)

    @property
    def amendable(self) -> tuple[Option, ...]:
        from virtkit.disk.formats.qcow2.amend import KNOWN

        return KNOWN

    def amend(self, image: Image, options: Mapping[str, str], report: Sink) -> None:
        from virtkit.disk.formats.qcow2.amend import amend
        from virtkit.disk.formats.qcow2.live import LiveQcow2

        if not isinstance(image, LiveQcow2):
            raise TypeError(f"{image.file.name} was not opened as qcow2 for writing")
        amend(image, options, report)


FORMAT = Qcow2()
