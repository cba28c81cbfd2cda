from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.mounts import plain_file_system, small_file_system
from virtkit.core.errors import BusyError, NotFoundError, SystemCallError, UsageError
from virtkit.disk.file import File
from virtkit.disk.newfile import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
KILLED_AT = """
import os, signal, sys
from virtkit.disk.newfile import NewFile

left = int(sys.argv[2])

def counted(call):
    def call_or_die(*words, **named):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return call(*words, **named)
    return call_or_die

for name in ("link", "rename", "unlink", "fsync", "open", "fchmod"):
    setattr(os, name, counted(getattr(os, name)))
with NewFile(sys.argv[1], overwrite=sys.argv[3] == "overwrite") as new:
    new.file.write(0, b"new image")
    for name in sys.argv[4:]:
        new.beside(name).write(0, b"new " + name.encode())
    new.publish(durable=True)
"""
"""Dies at the nth change of a name: ``PATH NTH overwrite|keep [NAME BESIDE ...]``."""


def test_has_no_name_before_it_is_published(tmp_path: Path) -> None:
    with NewFile(str(tmp_path / "new")) as new:
        new.file.write(0, b"half")
        assert os.listdir(tmp_path) == []
        new.publish(durable=True)
    assert (tmp_path / "new").read_bytes() == b"half"


def test_leaves_nothing_if_it_is_not_published(tmp_path: Path) -> None:
    with NewFile(str(tmp_path / "new")) as new:
        new.file.write(0, b"half")
    assert os.listdir(tmp_path) == []


def test_refuses_an_existing_name(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        NewFile(str(tmp_path / "old"))


def test_does_not_replace_what_came_meanwhile(tmp_path: Path) -> None:
    with NewFile(str(tmp_path / "new")) as new:
        (tmp_path / "new").write_text("mine")
        with pytest.raises(UsageError, match="exists already"):
            new.publish()
    assert (tmp_path / "new").read_text() == "mine"


def test_replaces_on_request_and_keeps_who_may_use_it(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("mine")
    old.chmod(0o640)
    with NewFile(str(old), overwrite=True) as new:
        new.file.write(0, b"new")
        assert old.read_text() == "mine"
        new.publish()
    assert old.read_text() == "new"
    assert old.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["old"]


def test_follows_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("mine")
    (tmp_path / "link").symlink_to("real")
    with NewFile(str(tmp_path / "link"), overwrite=True) as new:
        new.file.write(0, b"new")
        new.publish()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_says_which_directory_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such directory"):
        NewFile(str(tmp_path / "absent" / "new"))


@pytest.fixture(params=["nameless", "plain"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """On a file system that knows files without a name, and on one that does not, nor hard links."""
    if request.param == "nameless":
        yield tmp_path
        return
    with plain_file_system(tmp_path / "plain") as place:
        yield place


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def visible(folder: Path) -> dict[str, str]:
    return {name: text for name, text in texts(folder).items() if not name.startswith(".")}


class TestSeveral:
    def test_files_beside_appear_with_the_image(self, folder: Path) -> None:
        with NewFile(str(folder / "disk.vmdk")) as new:
            new.file.write(0, b"image")
            new.beside("disk-flat.vmdk").write(0, b"flat")
            assert visible(folder) == {}
            new.publish(durable=True)
            assert texts(folder) == {"disk.vmdk": "image", "disk-flat.vmdk": "flat"}

    def test_they_replace_those_of_the_same_names(self, folder: Path) -> None:
        for name in ("disk.vmdk", "disk-flat.vmdk"):
            (folder / name).write_text("old")
        with NewFile(str(folder / "disk.vmdk"), overwrite=True) as new:
            new.file.write(0, b"image")
            new.beside("disk-flat.vmdk").write(0, b"flat")
            new.publish()
        assert texts(folder) == {"disk.vmdk": "image", "disk-flat.vmdk": "flat"}

    @pytest.mark.parametrize("taken", ["disk.vmdk", "disk-flat.vmdk", "disk-more.vmdk"])
    def test_a_name_taken_meanwhile_leaves_all_as_it_was(self, taken: str, folder: Path) -> None:
        with NewFile(str(folder / "disk.vmdk")) as new:
            new.beside("disk-flat.vmdk")
            new.beside("disk-more.vmdk")
            (folder / taken).write_text("mine")
            with pytest.raises(UsageError, match="exists already"):
                new.publish()
        assert texts(folder) == {taken: "mine"}

    def test_what_cannot_be_replaced_leaves_all_as_it_was(self, folder: Path) -> None:
        names = ("disk.vmdk", "disk-flat.vmdk", "disk-more.vmdk")
        for name in names:
            (folder / name).write_text("old")
        with NewFile(str(folder / names[0]), overwrite=True) as new:
            for name in names[1:]:
                new.beside(name)
            (folder / f".{names[1]}.{os.getpid()}.old").mkdir()  # its way aside is closed
            with pytest.raises(SystemCallError, match="is a directory"):
                new.publish()
        assert texts(folder) == dict.fromkeys(names, "old")

    def test_a_directory_that_came_meanwhile_is_not_replaced(self, folder: Path) -> None:
        with NewFile(str(folder / "disk.vmdk"), overwrite=True) as new:
            new.beside("disk-flat.vmdk")
            (folder / "disk-flat.vmdk").mkdir()
            with pytest.raises(UsageError, match="is no file and no block device"):
                new.publish()
        assert os.listdir(folder) == ["disk-flat.vmdk"]

    def test_one_that_is_in_use_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "disk-flat.vmdk").write_text("old")
        file = File.open(tmp_path / "disk-flat.vmdk")
        with NewFile(str(tmp_path / "disk.vmdk"), overwrite=True) as new, pytest.raises(BusyError):
            new.beside("disk-flat.vmdk")
        file.close()
        assert texts(tmp_path) == {"disk-flat.vmdk": "old"}

    @pytest.mark.parametrize("name", ["../disk", "sub/disk", "disk.vmdk", "./disk.vmdk"])
    def test_names_of_others_are_no_paths_and_not_the_image(self, name: str, tmp_path: Path) -> None:
        with NewFile(str(tmp_path / "disk.vmdk")) as new, pytest.raises(UsageError, match="expected the name"):
            new.beside(name)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", size=MIB) as folder:
        (folder / "disk").write_text("old")
        with NewFile(str(folder / "disk"), overwrite=True) as new:
            with pytest.raises(SystemCallError, match="no space left on device") as full:
                new.file.write(0, bytes(4 * MIB))
            assert full.value.hint == f"df -h {folder}"
        assert texts(folder) == {"disk": "old"}


@pytest.mark.parametrize("overwrite", [True, False], ids=["overwrite", "keep"])
@pytest.mark.parametrize("beside", [[], ["disk-1", "disk-2"]], ids=["one", "several"])
def test_killed_at_any_moment_there_is_the_old_the_new_or_nothing(
    beside: list[str], folder: Path, *, overwrite: bool
) -> None:
    old = {name: f"old {name}" for name in ("disk", *beside)} if overwrite else {}
    new = {"disk": "new image", **{name: f"new {name}" for name in beside}}
    for moment in range(100):
        for path in list(folder.iterdir()):
            if path.is_file():
                path.unlink(missing_ok=True)  # FUSE takes its hidden ones away by itself
        for name, text in old.items():
            (folder / name).write_text(text)
        words = [str(folder / "disk"), str(moment), "overwrite" if overwrite else "keep", *beside]
        status = subprocess.run([sys.executable, "-c", KILLED_AT, *words], check=False).returncode
        found = visible(folder)
        if status == 0:
            assert found == texts(folder) == new
            break
        assert status == -signal.SIGKILL
        if found.get("disk") or (overwrite and not beside):
            assert found in (old, new)
        kept = [text for name, text in texts(folder).items() if text.startswith("old")]
        assert sorted(kept) == sorted(old.values()) or found == new
    else:
        pytest.fail("it never comes to an end")
    assert moment > 4
