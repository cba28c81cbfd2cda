"""What root has to allow before an ordinary user's machine is on a bridge; tests/vmhost has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotFoundError, NotSupportedError
from virtkit.core.system import System
from virtkit.vm.ordinary import HELPERS, RULES, require_bridge

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=HELPERS)
def helper(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / str(request.param).lstrip("/")
    path.parent.mkdir(parents=True)
    path.touch(0o755)
    return path


def allow(root: Path, text: str) -> None:
    rules = root / RULES.lstrip("/")
    rules.parent.mkdir(parents=True, exist_ok=True)
    rules.write_text(text)


def told(root: Path) -> str:
    """The hint."""
    with pytest.raises(NotSupportedError) as refused:
        require_bridge("web1", "br0", System(root))
    return refused.value.hint


def test_without_the_helper_there_is_no_bridge(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not installed"):
        require_bridge("web1", "br0", System(tmp_path))


def test_each_thing_that_root_has_to_do_is_told_until_all_is_done(tmp_path: Path, helper: Path) -> None:
    assert told(tmp_path) == f"sudo chmod u+s /{helper.relative_to(tmp_path)}"
    helper.chmod(0o4755)
    assert told(tmp_path) == f"sudo mkdir -p /etc/qemu; echo allow br0 | sudo tee -a {RULES}"
    allow(tmp_path, "# for everybody\nallow br1\n")
    assert "allow br0" in told(tmp_path)
    allow(tmp_path, "allow br1\nallow br0\n")
    require_bridge("web1", "br0", System(tmp_path))


@pytest.mark.parametrize("rules", ["allow all\n", "include /etc/qemu/more.conf\n"])
def test_what_is_open_to_all_or_said_elsewhere_is_left_to_the_helper(tmp_path: Path, helper: Path, rules: str) -> None:
    helper.chmod(0o4755)
    allow(tmp_path, rules)
    require_bridge("web1", "br0", System(tmp_path))
