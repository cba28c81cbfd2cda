"""Denials of AppArmor and SELinux, as their logs have them: no host with either ran these tests."""

from __future__ import annotations

import pytest

from virtkit.vm.access.denials import Denial, about, mend, parse, told

UUID = "38a9dad7-f16f-4d40-985b-06a9b59fd5c2"
APPARMOR = (
    'audit: type=1400 audit(1700000000.1:7): apparmor="DENIED" operation="open" class="file" '
    f'profile="libvirt-{UUID}" name=%s pid=4242 comm="qemu-system-x86" requested_mask="r" denied_mask="r" '
    "fsuid=64055 ouid=64055"
)
QUOTED = APPARMOR % '"/data/disk.qcow2"'
HELPER = (
    'audit: type=1400 audit(1700000000.2:8): apparmor="DENIED" operation="open" profile="virt-aa-helper" '
    'name="/data/base.qcow2" pid=4243 comm="virt-aa-helper" requested_mask="r" denied_mask="r" fsuid=0 ouid=0'
)
AVC = (
    'type=AVC msg=audit(1700000000.123:456): avc:  denied  {{ read }} for  pid=4242 comm="qemu-kvm" name="disk.qcow2" '
    'dev="dm-0" ino=99 scontext=system_u:system_r:svirt_t:s0:c1,c2 tcontext=system_u:object_r:{}:s0 tclass=file '
    "permissive=0"
)
PATH = 'type=PATH msg=audit(1700000000.123:456): item=0 name="/data/disk.qcow2" inode=99 nametype=NORMAL'


def only(log: str, *paths: str) -> Denial:
    found = about(parse(log), UUID, paths)
    assert found
    return found


def test_a_machines_own_profile_is_found_and_a_rule_of_the_site_lets_it_in() -> None:
    found = only(f"noise\n{QUOTED}\n")
    assert told(found) == f"AppArmor kept libvirt-{UUID} from /data/disk.qcow2 (r)"
    site = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
    assert mend(found, "") == f"""echo '"/data/**" rwk,' >>{site}   (counts from the next start)"""


def test_a_name_with_spaces_is_in_hex() -> None:
    assert only(APPARMOR % b"/a b/c".hex().upper()).path == "/a b/c"


def test_the_helper_that_reads_backing_chains_has_rules_of_its_own() -> None:
    found = only(HELPER, "/data/base.qcow2")
    assert "local/usr.lib.libvirt.virt-aa-helper && apparmor_parser -r" in mend(found, "/data/base.qcow2")
    assert about(parse(HELPER), UUID, ["/other.qcow2"]) is None


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("default_t", "semanage fcontext -a -t virt_image_t '/data(/.*)?' && restorecon -Rv /data"),
        ("nfs_t", "setsebool -P virt_use_nfs on"),
        ("user_home_t", "keep images out of home directories"),
    ],
)
def test_selinux_names_the_files_label_and_what_changes_it(kind: str, typed: str) -> None:
    found = only(f"{AVC.format(kind)}\n{PATH}\n", "/data/disk.qcow2")
    assert f"{kind}:s0" in told(found)
    assert "/data/disk.qcow2 (read)" in told(found)
    assert mend(found, "/data/disk.qcow2").startswith(typed)


def test_without_a_path_record_the_name_in_libvirts_message_says_where() -> None:
    found = only(AVC.format("default_t"), "/srv/disk.qcow2")
    assert found.path == "disk.qcow2"
    assert "'/srv(/.*)?'" in mend(found, "/srv/disk.qcow2")


def test_other_machines_and_files_are_not_blamed() -> None:
    assert about(parse(AVC.format("default_t")), UUID, ["/srv/other.qcow2"]) is None
    assert about(parse(APPARMOR.replace(UUID, "0") % '"/x"'), UUID, ["/srv/other.qcow2"]) is None
