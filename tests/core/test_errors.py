"""The tree that the module draws is the tree that the classes are."""

from __future__ import annotations

import re

from virtkit.core import errors
from virtkit.core.errors import CorruptImageError, SpecError, VirtkitError


def drawn() -> list[tuple[int, str, int]]:
    rows = re.findall(r"^([│├└─ ]*)(\w+Error)\s+(\d+)\s", errors.__doc__ or "", re.MULTILINE)
    return [(len(branch) // 4, name, int(status)) for branch, name, status in rows]


def real(kind: type[VirtkitError], depth: int = 0) -> list[tuple[int, str, int]]:
    below = [
        row for child in kind.__subclasses__() if child.__module__ == errors.__name__ for row in real(child, depth + 1)
    ]
    return [(depth, kind.__name__, kind.exit_status), *below]


def test_the_drawing_shows_every_class_its_parent_and_its_exit_status() -> None:
    assert drawn() == real(VirtkitError)


def test_a_corrupt_field_is_named_with_its_place() -> None:
    error = CorruptImageError("a.vdi", "block size", found=3, expected="a power of two", offset=0x178)
    assert str(error) == "a.vdi: block size is 3, expected a power of two (at byte 0x178)"


def test_all_faults_of_a_file_are_listed() -> None:
    assert str(SpecError(["a:1:2: x", "a:3:4: y"])) == "a:1:2: x\na:3:4: y"
