"""What may have happened to a disk: writes that hypothesis invents, on images of every kind that QEMU makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from support.images import KIB, MIB, run

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 3 * MIB + 5 * 512  # bytes; no multiple of any cluster
SECTORS = SIZE // 512


class Kind(NamedTuple):
    """A way to make an image; ``finish``: options of the qemu-img convert that turns the written image into it."""

    format: str
    options: str = ""
    finish: str = ""

    def __str__(self) -> str:
        return f"{self.format} {self.options} {self.finish}".strip()


KINDS = (
    Kind("raw"),
    Kind("qcow2"),
    Kind("qcow2", "compat=0.10"),
    Kind("qcow2", "cluster_size=512"),
    Kind("qcow2", "cluster_size=2M"),
    Kind("qcow2", "preallocation=metadata"),
    Kind("qcow2", "extended_l2=on"),
    Kind("qcow2", "extended_l2=on,cluster_size=16k"),
    Kind("qcow2", finish="-c"),
    Kind("qcow2", finish="-c -o compression_type=zstd,cluster_size=16k"),
    Kind("qcow"),
    Kind("vmdk"),
    Kind("vmdk", finish="-o subformat=streamOptimized"),
    Kind("vmdk", "subformat=monolithicFlat"),
    Kind("vmdk", "subformat=twoGbMaxExtentSparse,zeroed_grain=on"),
    Kind("vdi"),
    Kind("vdi", "static=on"),
)


@st.composite
def _command(draw: st.DrawFn, *, may_discard: bool) -> str:
    start = draw(st.integers(0, SECTORS - 1))
    length = draw(st.one_of(st.integers(1, 16), st.integers(1, SECTORS)))
    where = f"{start * 512} {min(length, SECTORS - start) * 512}"
    verbs = [f"write -P {draw(st.integers(1, 255))}", "write -z", *(["discard"] if may_discard else [])]
    return f"{draw(st.sampled_from(verbs))} {where}"


def scripts(kind: Kind) -> st.SearchStrategy[list[str]]:
    """Up to twelve writes. What a discarded stretch reads as is promised by qcow2 alone."""
    return st.lists(_command(may_discard=kind.format == "qcow2"), max_size=12)


def reads() -> st.SearchStrategy[list[tuple[int, int]]]:
    """Offsets and lengths in bytes, of any alignment, some of them past the end."""
    return st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, 256 * KIB)), min_size=1, max_size=8)


def make(folder: Path, kind: Kind, script: list[str]) -> Path:
    image = folder / f"image.{kind.format}"
    image.unlink(missing_ok=True)
    run(
        "qemu-img", "create", "-q", "-f", kind.format, *(("-o", kind.options) if kind.options else ()), image, str(SIZE)
    )
    write(image, kind.format, script)
    if not kind.finish:
        return image
    finished = folder / f"finished.{kind.format}"
    run("qemu-img", "convert", "-f", kind.format, "-O", kind.format, *kind.finish.split(), image, finished)
    return finished


def write(image: Path, format_: str, script: list[str]) -> None:
    if script:
        run("qemu-io", "-f", format_, *(word for command in script for word in ("-c", command)), image)


def overlay(folder: Path, name: str, backing: Path, size: int) -> Path:
    """A qcow2 image on ``backing``, named without its directory as people do."""
    image = folder / name
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing.name, "-F", "qcow2", image, str(size))
    return image
