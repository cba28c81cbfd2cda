from __future__ import annotations

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.recipes.making.twin import renamed, twin, warnings
from virtkit.vm import templating
from virtkit.vm.blueprint import Blueprint, Disk, Nic, derived_mac, machine_xml
from virtkit.vm.domain import Domain

OLD, NEW = "0b8a1e6e-7f3a-4c1e-9f33-0d0f3a1b2c3d", "11111111-7f3a-4c1e-9f33-0d0f3a1b2c3d"
PLAN = Blueprint(
    "web1",
    64 << 20,
    1,
    (Disk("/i/web1.qcow2", "qcow2"), Disk("/i/other.raw", "raw"), Disk("/i/web1-seed.iso", "raw", read_only=True)),
    (Nic(bridge="br0"), Nic(network="default", mac="52:54:00:00:00:01")),
    uuid=OLD,
    serial_log="/var/log/web1.log",
)
MORE = """<sysinfo type='smbios'><system><entry name='uuid'>{}</entry><entry name='serial'>7</entry>
<entry name='sku'>a</entry></system></sysinfo><genid>{}</genid>"""


def original(more: str = "", devices: str = "") -> Domain:
    text = machine_xml(PLAN).replace("</devices>", f"{devices}</devices>").replace("</domain>", f"{more}</domain>")
    return Domain.parse(text)


def test_what_must_differ_differs_and_the_rest_stays() -> None:
    old = original(MORE.format(OLD, OLD))
    before = old.text()
    made = twin(old, "web2", NEW)
    assert old.text() == before
    assert (made.name, made.uuid) == ("web2", NEW)
    assert [nic.mac for nic in made.nics] == [derived_mac("web2", 0), derived_mac("web2", 1)]
    assert [serial.log for serial in made.serials] == ["/var/log/web2.log"]
    assert [entry.text for entry in made.node.findall("sysinfo/system/entry")] == [NEW, "a"]
    assert made.node.findtext("genid") in {None, ""}
    assert (made.memory, made.vcpus, made.cpu_mode) == (old.memory, old.vcpus, old.cpu_mode)


def test_sockets_are_each_machine_s_own() -> None:
    display = "<graphics type='vnc' socket='/run/a'><listen type='socket' socket='/run/a'/></graphics>"
    channel = "<channel type='unix'><source mode='bind' path='/run/b'/><target type='virtio' name='x'/></channel>"
    made = twin(original(devices=display + channel), "web2", NEW)
    assert "/run/" not in made.text()


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ("<tpm model='tpm-crb'><backend type='emulator'/></tpm>", "its TPM is new and empty"),
        ("<hostdev mode='subsystem' type='pci'/>", "passed through"),
        ("<graphics type='vnc' port='5901' autoport='no'/>", "vnc port 5901"),
    ],
)
def test_what_two_cannot_share_is_said(device: str, told: str) -> None:
    (note,) = warnings(original(devices=device))
    assert told in note
    assert not warnings(original())


def test_a_file_gets_the_new_name_in_place_of_the_old() -> None:
    assert renamed("/i/web1.qcow2", "web1", "web2", "vda.qcow2") == "/i/web2.qcow2"
    assert renamed("/web1/disk.qcow2", "web1", "web2", "vda.qcow2") == "/web1/web2-vda.qcow2"


def test_a_template_locks_its_disks_and_its_twin_has_them_open_again() -> None:
    domain = original()
    before = domain.digest
    templating.make(domain)
    assert templating.is_one(domain)
    assert [disk.read_only for disk in domain.disks] == [True, True, True]
    with pytest.raises(NotSupportedError, match="is a template") as caught:
        templating.refuse(domain)
    assert "virtkit vm clone web1 NEW" in caught.value.hint
    made = twin(domain, "web2", NEW)
    assert not templating.is_one(made)
    assert [disk.read_only for disk in made.disks] == [False, False, True]
    templating.release(domain)
    assert domain.digest == before
    templating.refuse(domain)


def test_a_machine_that_others_made_becomes_a_template_too() -> None:
    domain = Domain.parse("<domain type='qemu'><name>a</name><devices/></domain>")
    templating.make(domain)
    assert templating.is_one(Domain.parse(domain.text()))
