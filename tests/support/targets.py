"""Every kind of image that we write, the kinds of formats to come included: by their default options."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from support.images import run
from support.reading import content, open_with
from support.typed import qemu_img
from virtkit import disk
from virtkit.disk import abilities
from virtkit.disk.format import EncodingFormat, WritableFormat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from virtkit.disk.conversion.order import Converted

FORMATS = disk.known_formats()
QEMU_READS = frozenset(run("qemu-img", "--help").rpartition("Supported formats:")[2].split())


class Target(NamedTuple):
    format: str
    options: Mapping[str, str] = {}
    compress: bool = False

    def __str__(self) -> str:
        words = [self.format, *(f"{name}={value}" for name, value in self.options.items())]
        return " ".join([*words, "-c"] if self.compress else words)

    @property
    def known(self) -> bool:
        """What cannot be made without a passphrase has tests of its own."""
        kind = FORMATS.get(self.format)
        if self.format == "luks" or not isinstance(kind, WritableFormat):
            return False
        return self.options.keys() <= {option.name for option in kind.options}

    @property
    def is_compressed(self) -> bool:
        kind = FORMATS[self.format]
        return self.compress or (isinstance(kind, EncodingFormat) and kind.must_encode(self.options))

    def make(
        self, source: Path, target: Path, source_format: str = "raw", *, durable: bool = False, overwrite: bool = False
    ) -> Converted:
        return disk.convert(
            str(source),
            str(target),
            source_format=source_format,
            target_format=self.format,
            options=self.options,
            compress=self.compress,
            level="fast",
            durable=durable,
            overwrite=overwrite,
        )


_VARIANTS = (
    Target("qcow2", {"cluster_size": "512"}),
    Target("qcow2", {"compat": "0.10"}),
    Target("qcow2", {"extended_l2": "on"}),
    Target("qcow2", {"data_file": "target.data"}),
    Target("qcow2", {"preallocation": "full"}),
    Target("qcow2", compress=True),
    Target("qcow", compress=True),
    Target("vmdk", {"subformat": "monolithicFlat"}),
    Target("vmdk", {"subformat": "twoGbMaxExtentSparse"}),
    Target("vmdk", {"subformat": "twoGbMaxExtentFlat"}),
    Target("vmdk", {"subformat": "streamOptimized"}),
    Target("vdi", {"static": "on"}),
)
TARGETS = tuple(target for target in (*(Target(name) for name in FORMATS), *_VARIANTS) if target.known)
LIVE = tuple(  # what can be written in place, by QEMU too
    target
    for target in TARGETS
    if target.format in QEMU_READS and not target.is_compressed and abilities.of(FORMATS[target.format]).write
)


def read(image: Path, format_: str) -> bytes:
    """The guest's bytes, as QEMU sees them; of formats that QEMU has not, as the slowest of our ways does."""
    if format_ in QEMU_READS:  # which looks for data files from where it stands
        back = image.with_name("back.raw")
        said = qemu_img(image.parent, "convert", "-f", format_, "-O", "raw", image.name, back.name)
        assert said.status == 0, said.err
        data = back.read_bytes()
        back.unlink()
        return data
    opened = open_with(FORMATS[format_], image)
    try:
        return content(opened)
    finally:
        opened.close()
