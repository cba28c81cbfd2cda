"""ISO images, read by programs that have nothing to do with us."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import UsageError
from virtkit.recipes.seed import iso9660
from virtkit.recipes.seed.iso9660 import BLOCK, Descriptor

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"user-data": b"#cloud-config\n", "meta-data": b"x" * 5000, "network-config": b""}
READERS = {
    "bsdtar": lambda image, name: ["bsdtar", "-xOf", image, name],
    "isoinfo": lambda image, name: ["isoinfo", "-R", "-i", image, "-x", f"/{name}"],
    "7z": lambda image, name: ["7z", "x", "-so", image, name],
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "seed.iso"
    path.write_bytes(iso9660.image("cidata", FILES))
    return path


def test_blkid_names_the_file_system_and_its_label_as_cloud_init_asks_it(image: Path) -> None:
    said = subprocess.run(["blkid", "-o", "export", image], capture_output=True, text=True, check=True).stdout
    assert {"LABEL=cidata", "TYPE=iso9660"} <= set(said.splitlines())


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", FILES)
def test_another_program_finds_the_files_under_their_names(reader: str, name: str, image: Path) -> None:
    if shutil.which(reader) is None:
        pytest.skip(f"needs {reader}")
    read = subprocess.run(READERS[reader](str(image), name), capture_output=True, check=True)
    assert read.stdout == FILES[name]


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz-.0123456789", min_size=1, max_size=64), st.binary(max_size=5000), max_size=8
    )
)
def test_the_volume_is_as_long_as_it_says_and_ends_on_a_block(files: dict[str, bytes]) -> None:
    made = iso9660.image("cidata", files)
    said = Descriptor.parse(made, iso9660.SYSTEM_AREA * BLOCK)
    assert int.from_bytes(said.blocks[:4], "little") * BLOCK == len(made)
    assert int.from_bytes(said.blocks[4:], "big") * BLOCK == len(made)
    assert iso9660.volume_label(made) == "cidata"
    assert made == iso9660.image("cidata", files)


@pytest.mark.parametrize("name", ["", "a/b", "a" * 65, "ü", "a;1", "a\n"])
def test_a_name_that_has_no_place_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="name is"):
        iso9660.image("cidata", {name: b""})


def test_more_files_than_a_block_holds_are_refused() -> None:
    with pytest.raises(UsageError, match="has 9 files, expected at most 8"):
        iso9660.image("cidata", {f"{number}": b"" for number in range(9)})


@pytest.mark.parametrize("head", [b"", bytes(BLOCK * 17), b"\xff" * (BLOCK * 17)])
def test_what_is_no_iso_image_has_no_label(head: bytes) -> None:
    assert not iso9660.volume_label(head)
