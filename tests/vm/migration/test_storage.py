from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.system import System
from virtkit.vm.domain import Domain
from virtkit.vm.migration.storage import file_system, local, stores

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = """\
/dev/vda / ext4 rw 0 0
nas:/vms /var/lib/libvirt/images nfs4 rw 0 0
/dev/vdb /srv/with\\040space xfs rw 0 0
tmpfs /mnt tmpfs rw 0 0
nas:/two /mnt nfs rw 0 0
"""
DISKS = """\
<domain type='kvm'><name>a</name><devices>
<disk type='file' device='disk'><driver type='qcow2' cache='none'/><source file='/a/top.qcow2'/>
 <backingStore type='file'><format type='qcow2'/><source file='/a/mid.qcow2'/>
  <backingStore type='file'><format type='raw'/><source file='/a/base.raw'/><backingStore/></backingStore>
 </backingStore>
 <target dev='vda'/></disk>
<disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>
<disk type='file' device='cdrom'><source file='/a/x.iso'/><target dev='sdb'/><readonly/></disk>
<disk type='block' device='disk'><source dev='/dev/vg/a'/><target dev='vdb'/></disk>
<disk type='network' device='disk'><source protocol='nbd' name='d0'/><target dev='vdc'/></disk>
</devices></domain>"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/libvirt/images/a.qcow2", "nfs4"),
        ("/var/lib/libvirt/images-old/a.qcow2", "ext4"),
        ("/srv/with space/a.raw", "xfs"),
        ("/mnt/a.raw", "nfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_and_last_mount(tmp_path: Path, path: str, kind: str) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(MOUNTS)
    assert file_system(path, System(tmp_path)) == kind


def test_disks_are_read_with_what_they_rest_on() -> None:
    found = stores(Domain.parse(DISKS))
    assert [(each.target, each.kind, each.path) for each in found] == [
        ("vda", "file", "/a/top.qcow2"),
        ("sdb", "file", "/a/x.iso"),
        ("vdb", "block", "/dev/vg/a"),
        ("vdc", "network", "d0"),
    ]
    assert found[0].backing == ("/a/mid.qcow2", "/a/base.raw")
    assert [each.target for each in found if local(each)] == ["vda"]
