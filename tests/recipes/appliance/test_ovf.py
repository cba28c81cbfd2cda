from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support import appliances
from virtkit.core.errors import ImageError, UsageError, VirtkitError
from virtkit.core.units import MIB
from virtkit.recipes.appliance import ovf, reading
from virtkit.recipes.appliance.model import Appliance, Card, Disk

SETTING = '<vmw:Config vmw:key="{}" vmw:value="{}"/>'
TWO = {"one.vmdk": 8, "two.vmdk.gz": 16}


def read(text: str) -> Appliance:
    return ovf.read(text.encode(), "a.ovf")


def test_all_that_is_said_is_read() -> None:
    found = read(appliances.ovf(TWO))
    assert found == Appliance(
        "web 1",
        192 * MIB,
        1,
        (Disk("one.vmdk", 8 * MIB, False, "scsi"), Disk("two.vmdk.gz", 16 * MIB, True, "scsi")),  # noqa: FBT003  fields
        (Card("VM Network", "00:50:56:00:00:01"),),
        os="Debian",
        left_out=("CD drive",),
    )


def test_the_prefixes_of_namespaces_are_every_tool_s_own() -> None:
    text = appliances.ovf(TWO)
    assert read(
        text.replace("rasd:", "r:").replace("ovf:", "").replace("<Item", "<o:Item").replace("</Item", "</o:Item")
    ) == read(text)


def test_utf_16_is_read_too() -> None:
    text = appliances.ovf(TWO, name="Größe").replace("UTF-8", "UTF-16")
    assert ovf.read(text.encode("utf-16"), "a.ovf").name == "Größe"


@pytest.mark.parametrize(
    ("more", "firmware"),
    [
        (SETTING.format("firmware", "efi"), "efi"),
        (SETTING.format("firmware", "bios"), "bios"),
        (
            "".join(map(SETTING.format, ("bootOptions.efiSecureBootEnabled", "firmware"), ("true", "efi"))),
            "secure",
        ),
    ],
)
def test_the_firmware_is_vmware_s_word(more: str, firmware: str) -> None:
    assert read(appliances.ovf(TWO, more=more)).firmware == firmware


def test_the_first_disk_is_the_first_of_its_controller() -> None:
    text = appliances.ovf(TWO).replace(">0</rasd:AddressOnParent>", ">5</rasd:AddressOnParent>")
    assert [disk.file for disk in read(text).disks] == ["two.vmdk.gz", "one.vmdk"]


def test_of_several_deployment_options_the_default_counts() -> None:
    choices = '<Configuration ovf:id="s"/><Configuration ovf:default="true" ovf:id="l"/>'
    options = f"<DeploymentOptionSection>{choices}</DeploymentOptionSection>"
    items = "".join(
        f'<Item ovf:configuration="{name}"><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>'
        f"<rasd:VirtualQuantity>{cpus}</rasd:VirtualQuantity></Item>"
        for name, cpus in (("s", 2), ("l x", 8))
    )
    found = read(appliances.ovf(TWO, more=items).replace("<References>", f"{options}<References>"))
    assert (found.cpus, found.configuration) == (8, "l")


def test_a_disk_without_a_file_is_empty() -> None:
    found = read(appliances.ovf(TWO).replace(' ovf:fileRef="f1"', ""))
    assert found.disks[1] == Disk("", 16 * MIB, bus="scsi")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("one.vmdk", "../one.vmdk", "expected one beside the description"),
        ("one.vmdk", "/etc/shadow", "expected one beside the description"),
        ("one.vmdk", "http://x/one.vmdk", "expected one beside the description"),
        ("ovf:/disk/d0", "ovf:/disk/none", "which it does not have"),
        ('ovf:id="f0"', 'ovf:id="none"', "which it does not have"),
        (">192<", ">-1<", "memory is '-1'"),
        (">192<", ">99999999999999999999<", "memory is"),
        ("byte * 2^20", "byte * 3^20", "unit is"),
        ('capacity="8"', 'capacity="1e9"', "capacity is"),
        ("VirtualHardwareSection", "Other", "describes no hardware"),
        ("VirtualSystem", "Other", "describes no machine"),
        ("Envelope", "Other", "expected an OVF Envelope"),
        ('ovf:compression="gzip"', 'ovf:compression="xz"', "compression is 'xz'"),
        ("<References>", "<References><File", "not well-formed"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, told: str) -> None:
    with pytest.raises(ImageError, match=told) as caught:
        read(appliances.ovf(TWO).replace(old, new))
    assert caught.value.message.startswith("a.ovf: ")


def test_entities_are_not_read() -> None:
    text = appliances.ovf(TWO).replace("<Envelope", "<!DOCTYPE a [<!ENTITY b 'c'>]><Envelope", 1)
    with pytest.raises(ImageError, match="DOCTYPE"):
        read(text)


def test_of_several_machines_one_has_to_be_named() -> None:
    text = appliances.ovf(TWO)
    start, end = text.index("<VirtualSystem "), text.index("</VirtualSystem>") + len("</VirtualSystem>")
    system = text[start:end]
    other = system.replace('ovf:id="vm"', 'ovf:id="db"')
    both = f"<VirtualSystemCollection>{system}{other}</VirtualSystemCollection>"
    with pytest.raises(UsageError, match=r"2 machines \(vm, db\)"):
        read(text[:start] + both + text[end:])
    assert ovf.read((text[:start] + both + text[end:]).encode(), "a.ovf", "db").cpus == 1


@pytest.mark.parametrize(
    ("said", "size"),
    [("byte", 1), ("byte * 2^30", 1 << 30), ("bytes*10^6", 10**6), ("MegaBytes", MIB), ("GB", 1 << 30), ("512", 512)],
)
def test_units_are_bytes(said: str, size: int) -> None:
    assert ovf.units(said, "a") == size


@given(st.binary(max_size=300))
@example(appliances.ovf(TWO).encode()[:-50])
def test_noise_is_refused_with_a_reason(noise: bytes) -> None:
    with pytest.raises(VirtkitError):
        ovf.read(noise, "a.ovf")


SAMPLE = appliances.ovf(TWO)


@given(st.data())
def test_a_description_that_somebody_bent_is_read_or_refused(data: st.DataObject) -> None:
    """Anywhere a piece is taken out, put in or written twice: no other exception, and no path that leads out."""
    at, length = data.draw(st.integers(0, len(SAMPLE))), data.draw(st.integers(0, 80))
    piece = data.draw(st.sampled_from(["", "../", "/", "9" * 30, "-1", SAMPLE[at : at + length] * 2, "\0", "<", "é"]))
    try:
        found = read(SAMPLE[:at] + piece + SAMPLE[at + length :])
    except VirtkitError:
        return
    for disk in found.disks:
        assert not disk.file.startswith("/")
        assert ".." not in disk.file.split("/")


@given(st.text())
def test_a_name_made_of_any_text_is_one_that_libvirt_takes(text: str) -> None:
    name = reading.plain_name(text)
    assert len(name) <= 60
    assert "/" not in name
    assert not name.startswith((".", "-"))


@pytest.mark.parametrize(
    ("said", "mac"),
    [
        ("080027AABBCC", "08:00:27:aa:bb:cc"),
        ("00-50-56-00-00-01", "00:50:56:00:00:01"),
        ("1", ""),
        ("01:00:5e:00:00:01", ""),
    ],
)
def test_addresses_are_brought_into_one_form(said: str, mac: str) -> None:
    assert ovf.mac(said) == mac
