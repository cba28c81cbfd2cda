"""Images that a stranger might send, and what is said of them; every one of these was a hole in some program."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from support.holding import machine
from support.images import SPECIMENS, Specimen, run
from virtkit import disk
from virtkit.core.errors import NotFoundError, UsageError
from virtkit.disk.inspection import LARGEST, Inspection

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

SAFE = [Specimen("raw"), Specimen("qcow2"), Specimen("qcow2", "-c"), Specimen("vmdk"), Specimen("vdi")]


def qcow2(path: Path, *options: str) -> Path:
    run("qemu-img", "create", "-q", "-f", "qcow2", *options, path, "1M")
    return path


def dangers(found: Inspection) -> list[str]:
    assert found.safe == (not any(finding.danger for finding in found.findings))
    return [finding.about for finding in found.findings if finding.danger]


def look(path: Path, policy: str = "untrusted", format_: str | None = None, largest: int = LARGEST) -> Inspection:
    return disk.inspect(str(path), format_, policy=policy, largest=largest)


@pytest.mark.parametrize("policy", ["default", "untrusted"])
@pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
def test_what_qemu_makes_is_safe(specimen: Specimen, policy: str, tmp_path: Path) -> None:
    image, guest = specimen.make(tmp_path)
    found = look(image, policy, specimen.format)
    several = [one.what for one in found.references]
    assert dangers(found) == (["reference"] if several and policy == "untrusted" else [])
    if not several or policy == "default":
        assert found.virtual_size == len(guest)


@pytest.mark.parametrize(
    ("name", "default"),
    [("base.qcow2", []), ("../secret", ["reference"]), ("/etc/passwd", ["reference"]), ("gone", ["reference"])],
)
def test_a_backing_file_is_told_and_refused_by_policy(name: str, default: list[str], tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(512))
    (tmp_path / "images").mkdir()
    qcow2(tmp_path / "images" / "base.qcow2")
    image = qcow2(tmp_path / "images" / "top.qcow2", "-u", "-b", name, "-F", "qcow2")
    found = look(image, "default")
    assert sorted(set(dangers(found))) == default
    assert (found.references[0].what, found.references[0].name, found.virtual_size) == ("backing file", name, 1 << 20)
    assert "reference" in dangers(look(image))


@pytest.mark.parametrize("name", ["json:{}", "nbd://host/x", "fat:/etc"])
def test_names_of_drivers_are_dangers_by_any_policy(name: str, tmp_path: Path) -> None:
    image = qcow2(tmp_path / "top", "-u", "-b", name, "-F", "raw") if ":" not in name else qcow2(tmp_path / "top")
    data = bytearray(image.read_bytes())
    data[8:20] = struct.pack(">QI", 600, len(name))
    data[600 : 600 + len(name)] = name.encode()
    image.write_bytes(data)
    assert {"reference", "probing"} <= set(dangers(look(image, "default")))


def test_a_parent_hint_of_a_vmdk_is_seen(tmp_path: Path) -> None:
    """oslo.utils 10.2's format_inspector passes this."""
    run("qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "base.vmdk", "1M")
    run("qemu-img", "create", "-q", "-f", "vmdk", "-b", tmp_path / "base.vmdk", "-F", "vmdk", tmp_path / "evil.vmdk")
    found = look(tmp_path / "evil.vmdk")
    assert dangers(found) == ["reference"]
    assert found.references[0].name == str(tmp_path / "base.vmdk")


def test_a_flat_vmdk_that_names_a_file_of_the_host_is_seen(tmp_path: Path) -> None:
    """CVE-2022-47951; oslo.utils calls such a text a safe raw disk."""
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", tmp_path / "flat.vmdk", "1M")
    text = (tmp_path / "flat.vmdk").read_bytes().replace(b"flat-flat.vmdk", b"/etc/passwd")
    (tmp_path / "flat.vmdk").write_bytes(text)
    assert dangers(look(tmp_path / "flat.vmdk", "default")) == ["reference"]
    assert dangers(look(tmp_path / "flat.vmdk")) == ["reference"]
    assert look(tmp_path / "flat.vmdk").references[0].name == "/etc/passwd"


def test_a_data_file_is_seen(tmp_path: Path) -> None:
    """CVE-2024-32498."""
    image = qcow2(tmp_path / "image", "-o", f"data_file={tmp_path / 'data'}")
    found = look(image)
    assert set(dangers(found)) <= {"reference", "features"}
    assert dangers(found)


@pytest.mark.parametrize("other", ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "parallels"])
def test_a_raw_disk_with_a_header_that_its_guest_wrote_is_a_danger(other: str, tmp_path: Path) -> None:
    """CVE-2026-24708, CVE-2008-2004."""
    run("qemu-img", "create", "-q", "-f", other, tmp_path / "disk", "8M")
    assert dangers(look(tmp_path / "disk", "default", "raw")) != []
    assert "polyglot" in dangers(look(tmp_path / "disk", "default", "raw"))


def test_an_image_with_the_signature_of_another_is_a_danger(tmp_path: Path) -> None:
    image = qcow2(tmp_path / "image")
    with image.open("r+b") as file:
        file.truncate(1 << 20)
        file.seek((1 << 20) - 512)
        file.write(b"conectix")
    assert "polyglot" in dangers(look(image, "default"))


def test_a_disk_that_is_larger_than_allowed_is_a_danger(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "image", "200T")
    assert dangers(look(tmp_path / "image")) == ["size"]
    assert dangers(look(tmp_path / "image", largest=200 << 40)) == []
    assert [finding.about for finding in look(tmp_path / "image", largest=200 << 40).findings] == ["size"]


def test_data_over_data_is_seen(tmp_path: Path) -> None:
    """A small file whose map names the same cluster everywhere is a bomb without compression."""
    image = qcow2(tmp_path / "image")
    run("qemu-io", "-f", "qcow2", "-c", "write 0 1M", image)
    data = bytearray(image.read_bytes())
    table = struct.unpack_from(">Q", data, 40)[0]
    entries = struct.unpack_from(">Q", data, table)[0] & 0x00FFFFFFFFFFFE00
    first = data[entries : entries + 8]
    data[entries : entries + 16 * 8] = first * 16
    image.write_bytes(data)
    assert "damage" in dangers(look(image, "default"))


def test_damage_is_told_without_a_traceback(tmp_path: Path) -> None:
    image = qcow2(tmp_path / "image")
    whole = image.read_bytes()
    for cut in (0, 3, 60, 200, 70_000):
        image.write_bytes(whole[:cut])
        found = look(image, "default")
        assert not found.safe or cut > 65536 * 3


def test_bytes_that_belong_to_nothing_are_told(tmp_path: Path) -> None:
    image = qcow2(tmp_path / "image")
    with image.open("ab") as file:
        file.write(b"hidden" * 100_000)
    assert dangers(look(image)) == ["tail"]
    assert [finding.about for finding in look(image, "default").findings] == ["tail"]


def test_what_has_no_signature_is_not_taken_for_raw(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(4096))
    assert dangers(look(tmp_path / "disk")) == ["format"]
    assert dangers(look(tmp_path / "disk", format_="raw")) == []


def test_it_looks_while_a_machine_runs(tmp_path: Path) -> None:
    image = qcow2(tmp_path / "image")
    with machine(image, "qcow2", name="web1"):
        assert look(image, "default").virtual_size == 1 << 20


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="default, untrusted"):
        look(qcow2(tmp_path / "image"), "some")
    with pytest.raises(NotFoundError):
        look(tmp_path / "gone")
