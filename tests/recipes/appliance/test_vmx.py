from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import ImageError, VirtkitError
from virtkit.core.units import GIB
from virtkit.recipes.appliance import vmx
from virtkit.recipes.appliance.model import Appliance, Card, Disk

VMX = """\
#!/usr/bin/vmware
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "10"
displayName = "web |22one|22"
memSize = "2048"
numvcpus = "4"
guestOS = "debian10-64"
scsi0.present = "TRUE"
scsi0:10.present = "TRUE"
scsi0:10.fileName = "data.vmdk"
scsi0:2.present = "TRUE"
scsi0:2.fileName = "boot.vmdk"
scsi0:2.deviceType = "scsi-hardDisk"
sata0:0.present = "TRUE"
sata0:0.deviceType = "cdrom-image"
sata0:0.fileName = "/vmfs/iso/x.iso"
ide0:0.present = "FALSE"
ide0:0.fileName = "old.vmdk"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "VM Network"
ethernet0.generatedAddress = "00:0c:29:36:ef:31"
ethernet1.present = "true"
ethernet1.connectionType = "nat"
ethernet2.present = "FALSE"
floppy0.present = "TRUE"
"""


def read(text: str) -> Appliance:
    return vmx.read(text.encode(), "a.vmx")


def test_all_that_is_said_is_read() -> None:
    assert read(VMX) == Appliance(
        'web "one"',
        2 * GIB,
        4,
        (Disk("boot.vmdk", bus="scsi"), Disk("data.vmdk", bus="scsi")),
        (Card("VM Network", "00:0c:29:36:ef:31", "vmxnet3"), Card("NAT")),
        os="debian10-64",
        left_out=("floppy drive",),
    )


def test_secure_boot_and_tpm_and_windows() -> None:
    more = 'firmware = "efi"\nuefi.secureBoot.enabled = "TRUE"\nvtpm.present = "TRUE"\n'
    found = read(VMX.replace("debian10-64", "windows2019srv-64") + more)
    assert (found.firmware, found.tpm, found.windows) == ("secure", True, True)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("boot.vmdk", "/vmfs/volumes/a/boot.vmdk", "expected one beside the description"),
        ("boot.vmdk", "..|2f..|2fetc|2fshadow", "expected one beside the description"),
        ('"2048"', '"much"', "memsize is 'much'"),
        ('numvcpus = "4"', 'numvcpus = "99999"', "numvcpus is"),
        ("ersion", "rsion", "has no virtualHW.version"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, told: str) -> None:
    with pytest.raises(ImageError, match=told):
        read(VMX.replace(old, new))


@given(
    st.integers(0, len(VMX)),
    st.integers(0, 60),
    st.sampled_from(["", "../", '"', "\n", "9" * 30, "|00", "é", "scsi0:"]),
)
def test_a_file_that_somebody_bent_is_read_or_refused(at: int, length: int, piece: str) -> None:
    try:
        found = read(VMX[:at] + piece + VMX[at + length :])
    except VirtkitError:
        return
    for disk in found.disks:
        assert not disk.file.startswith("/")
        assert ".." not in disk.file.split("/")


@given(st.binary(max_size=300))
def test_noise_is_refused_with_a_reason(noise: bytes) -> None:
    with pytest.raises(VirtkitError):
        vmx.read(noise, "a.vmx")
