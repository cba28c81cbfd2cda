from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotFoundError, UsageError
from virtkit.disk.newfile import NewFile

if TYPE_CHECKING:
    from pathlib import Path


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
