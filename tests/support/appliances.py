"""Appliances as other hypervisors hand them over."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>{files}</References>
  <DiskSection><Info>disks</Info>{disks}</DiskSection>
  <VirtualSystem ovf:id="vm"><Name>{name}</Name>
    <OperatingSystemSection ovf:id="94"><Info>os</Info><Description>{os}</Description></OperatingSystemSection>
    <VirtualHardwareSection><Info>hardware</Info>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>192</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
      <Item><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceType>15</rasd:ResourceType></Item>
      {drives}{more}
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""
CARD = """<Item><rasd:InstanceID>9</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType>
<rasd:Address>00:50:56:00:00:01</rasd:Address><rasd:Connection>VM Network</rasd:Connection></Item>"""
_FILE = '<File ovf:href="{name}" ovf:id="f{n}"{how}/>'
_DISK = '<Disk ovf:capacity="{mib}" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="d{n}" ovf:fileRef="f{n}"/>'
_DRIVE = """<Item><rasd:AddressOnParent>{n}</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d{n}</rasd:HostResource>
<rasd:InstanceID>{number}</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>"""


def ovf(disks: Mapping[str, int], *, name: str = "web 1", system: str = "Debian", more: str = CARD) -> str:
    """``disks``: file -> MiB of its disk; what ends in .gz is said to be packed."""
    numbered = list(enumerate(disks.items()))
    packed = ' ovf:compression="gzip"'
    return OVF.format(
        files="".join(
            _FILE.format(name=file, n=n, how=packed if file.endswith(".gz") else "") for n, (file, _) in numbered
        ),
        disks="".join(_DISK.format(mib=mib, n=n) for n, (_, mib) in numbered),
        drives="".join(_DRIVE.format(n=n, number=20 + n) for n, _ in numbered),
        name=name,
        os=system,
        more=more,
    )


def manifest(folder: Path, *names: str, algorithm: str = "SHA256") -> str:
    lines = (
        f"{algorithm}({name})= {hashlib.new(algorithm.lower(), (folder / name).read_bytes()).hexdigest()}\n"
        for name in names
    )
    return "".join(lines)


def ova(target: Path, folder: Path, *names: str) -> Path:
    """By GNU tar, in the order of ``names``."""
    subprocess.run(["tar", "--format=ustar", "-C", folder, "-cf", target, *names], check=True)
    return target
