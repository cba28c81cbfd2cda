"""What stops a user on the way to a file: the kernel is asked the same."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtkit.core.system import System
from virtkit.vm.access.user import User, keeps_owners
from virtkit.vm.access.walk import READ, WRITE, Obstacle, folders, obstacles

US = User("libvirt-qemu", 64055, 64055, frozenset({64055, 107}))
OWNERS = st.sampled_from([0, 64055, 1000])
GROUPS = st.sampled_from([0, 64055, 107, 1000])
BITS = st.integers(0, 7)


class Made(NamedTuple):
    """A file or directory."""

    mode: int
    uid: int
    gid: int
    named_user: int | None  # what an ACL grants to our user
    named_group: int | None  # and to group 107
    mask: int


made = st.builds(Made, st.integers(0, 0o777), OWNERS, GROUPS, st.none() | BITS, st.none() | BITS, BITS)


def make(path: str, wanted: Made) -> None:
    os.chown(path, wanted.uid, wanted.gid)
    os.chmod(path, wanted.mode)
    if wanted.named_user is None and wanted.named_group is None:
        return
    none = 0xFFFFFFFF
    entries = [(1, wanted.mode >> 6 & 7, none)]
    entries += [] if wanted.named_user is None else [(2, wanted.named_user, US.uid)]
    entries += [(4, wanted.mode >> 3 & 7, none)]
    entries += [] if wanted.named_group is None else [(8, wanted.named_group, 107)]
    entries += [(16, wanted.mask, none), (32, wanted.mode & 7, none)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", packed)


def kernel_lets_in(paths: list[str], flag: str) -> list[bool]:
    """What ``test`` finds as our user; one process for all of them."""
    asked = 'for file; do test "$0" "$file" && echo yes || echo no; done'
    who = ["setpriv", f"--reuid={US.uid}", f"--regid={US.gid}", "--groups=64055,107"]
    done = subprocess.run([*who, "sh", "-c", asked, flag, *paths], capture_output=True, text=True, check=True)
    return [word == "yes" for word in done.stdout.split()]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(made, made, st.booleans()), min_size=10, max_size=30), st.sampled_from([READ, WRITE]))
def test_the_kernel_says_the_same_of_modes_owners_acls_and_links(
    cases: list[tuple[Made, Made, bool]], need: int
) -> None:
    top = mkdtemp(dir="/tmp")
    os.chmod(top, 0o711)
    try:
        paths = []
        for index, (folder, file, linked) in enumerate(cases):
            os.mkdir(f"{top}/{index}")
            Path(f"{top}/{index}/disk").touch()
            make(f"{top}/{index}/disk", file)
            make(f"{top}/{index}", folder)
            if linked:
                os.symlink(f"{index}/../{index}/disk", f"{top}/link{index}")
            paths.append(f"{top}/link{index}" if linked else f"{top}/{index}/disk")
        found = [not obstacles(System(), US, path, need) for path in paths]
        assert found == kernel_lets_in(paths, "-r" if need == READ else "-w")
    finally:
        shutil.rmtree(top)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
@settings(max_examples=12, deadline=None)
@given(made)
def test_what_mends_it_is_believed_by_the_kernel(folder: Made) -> None:
    top = mkdtemp(dir="/tmp")
    os.chmod(top, 0o700)
    try:
        os.mkdir(f"{top}/a b")
        Path(f"{top}/a b/disk").touch()
        os.chmod(f"{top}/a b/disk", 0o600)
        make(f"{top}/a b", folder)
        mends = [found.mend for found in obstacles(System(), US, f"{top}/a b/disk", READ)]
        if shutil.which("setfacl") is None and any(mend.startswith("setfacl") for mend in mends):
            return  # an ACL that is there is mended by its own program alone
        for mend in mends:
            subprocess.run(["sh", "-c", mend], check=True)
        assert kernel_lets_in([f"{top}/a b/disk"], "-r") == [True]
        assert not obstacles(System(), US, f"{top}/a b/disk", READ)
    finally:
        shutil.rmtree(top)


def test_the_way_goes_through_links_and_ends_where_they_go_in_circles(tmp_path: Path) -> None:
    (tmp_path / "srv/images").mkdir(parents=True)
    (tmp_path / "data").symlink_to("/srv/images")
    (tmp_path / "srv/images/a").symlink_to("../b")
    (tmp_path / "loop").symlink_to("loop")
    assert list(folders(System(tmp_path), "/data/a")) == ["/", "/srv", "/srv/images"]
    assert list(folders(System(tmp_path), "/loop/x")) == ["/"]


def test_what_is_not_there_yet_is_reached_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    for path in (tmp_path, tmp_path / "closed"):
        path.chmod(0o711 if path == tmp_path else 0o700)
    stranger = User("64055", 64055, 64055, frozenset({64055}))
    found = obstacles(System(tmp_path), stranger, "/closed/new/disk", READ)
    assert [(each.path, each.found.partition(" (")[0]) for each in found] == [("/closed", "may not pass /closed")]
    assert found[0].mend == "chmod o+x /closed"
    assert isinstance(found[0], Obstacle)


def test_whether_libvirt_gives_images_to_qemu_is_its_configurations_word(tmp_path: Path) -> None:
    system, file = System(tmp_path), tmp_path / "etc/libvirt/qemu.conf"
    assert not keeps_owners(system)
    file.parent.mkdir(parents=True)
    for said, kept in (("#dynamic_ownership = 0\n", False), ("dynamic_ownership=0\n", True)):
        file.write_text(said)
        assert keeps_owners(system) == kept
