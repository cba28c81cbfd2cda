"""qcow: QEMU's first format, version 1. qcow2 followed it. Source of truth: QEMU, block/qcow.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.format import Option
from virtkit.disk.formats.qcow import signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Findings, Image, Measured, Writer
    from virtkit.disk.formats.qcow.mapping import QcowImage


class Qcow:
    title = "QEMU copy-on-write disk, version 1"
    suffixes = (".qcow",)
    options = (Option("encrypt.format", "aes (weak, for old programs); the passphrase comes from --new-key-file"),)

    def probe(self, head: bytes) -> bool:
        return signature.leads(head)

    def open(self, file: File, access: Access = READ_ONLY) -> QcowImage:
        from virtkit.disk.formats.qcow.layout import read_head
        from virtkit.disk.formats.qcow.mapping import QcowImage

        head = read_head(file)
        if not access.writable:
            return QcowImage(file, head, access)
        from virtkit.disk.formats.qcow.live import LiveQcow

        return LiveQcow(file, head, access)

    def writer(self, file: File, blank: Blank) -> Writer:
        from virtkit.disk.formats.qcow.writer import QcowWriter

        return QcowWriter(file, blank)

    def measure(self, blank: Blank) -> Measured:
        from virtkit.disk.formats.qcow import writer

        return writer.measure(blank)

    def unit(self, options: Mapping[str, str]) -> int:
        from virtkit.disk.formats.qcow import writer

        return writer.UNIT

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        from virtkit.disk import codecs

        return codecs.encoder("zlib", level)

    def check(self, image: Image) -> Findings:
        from virtkit.disk.formats.qcow import check
        from virtkit.disk.formats.qcow.mapping import QcowImage

        if not isinstance(image, QcowImage):
            raise TypeError(f"{image.file.name} was not opened as qcow")
        return check.check(image)


FORMAT = Qcow()
