from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.core.system import System
from virtkit.net.backends.ifupdown.tree import MAIN, load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def system(tmp_path: Path) -> System:
    (tmp_path / "etc/network/interfaces.d/deep").mkdir(parents=True)
    return System(tmp_path)


def _write(system: System, path: str, text: str) -> None:
    system.path(path).write_text(text)


def test_files_are_read_in_the_order_in_which_ifupdown_does(system: System) -> None:
    folder = "/etc/network/interfaces.d"
    _write(
        system, MAIN, "source interfaces.d/*\nsource-directory /etc/network/interfaces.d/deep\niface last inet manual"
    )
    _write(system, f"{folder}/b", "iface b inet manual\n")
    _write(system, f"{folder}/a", "iface a inet manual\n")
    _write(system, f"{folder}/deep/c", "iface c inet manual\n")
    _write(system, f"{folder}/deep/c.bak", "iface backup inet manual\n")
    _write(system, f"{folder}/.hidden", "iface hidden inet manual\n")
    tree = load(system)
    assert list(tree.documents) == [MAIN, f"{folder}/a", f"{folder}/b", f"{folder}/deep/c"]
    assert [stanza.name for stanza in tree.stanzas()] == ["last", "a", "b", "c"]
    assert [line for line in tree.flat.splitlines() if line.startswith("iface")] == [
        f"iface {name} inet manual" for name in ("a", "b", "c", "last")
    ]


def test_file_that_includes_itself_is_read_once(system: System) -> None:
    _write(system, MAIN, "source interfaces\nauto lo\n")
    assert list(load(system).documents) == [MAIN]


def test_changed_files_stand_for_those_on_disk(system: System) -> None:
    _write(system, MAIN, "source /etc/network/interfaces.d/*\n")
    _write(system, "/etc/network/interfaces.d/a", "auto eth0\n")
    changed = load(system, {"/etc/network/interfaces.d/a": "auto br0\n"})
    assert "auto br0" in changed.flat
    assert "eth0" not in changed.flat


def test_what_only_a_shell_can_expand_is_refused(system: System) -> None:
    _write(system, MAIN, "auto lo\nsource $HOME/interfaces\n")
    with pytest.raises(NotSupportedError, match=r"interfaces:2: includes \$HOME/interfaces"):
        load(system)


def test_directory_without_bounds_is_refused(system: System) -> None:
    for number in range(600):
        _write(system, f"/etc/network/interfaces.d/deep/n{number}", "")
    _write(system, MAIN, "source-directory interfaces.d/deep\n")
    with pytest.raises(NotSupportedError, match="more than 500 files"):
        load(system)
