from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

import pytest

from virtkit import vm
from virtkit.core.errors import ConflictError, MachineError, NotSupportedError, UsageError
from virtkit.core.plan import Plan, load_action
from virtkit.vm import actions

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _test_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default")


def test_no_module_hides_a_verb_of_the_same_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(vm.__path__)}
    assert not modules & {"list", "show", "start", "stop", "kill", "define", "undefine", "autostart", "pin", "threads"}
    assert not modules & {
        "attach",
        "ip",
        "block_cache",
        "qmp",
        "wait_for_agent",
        "execute",
        "os_info",
        "edit",
        "diff",
        "unplug",
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda: actions.Define("m", "<domain><name>m</name></domain>", "XML 1"),
        lambda: actions.Undefine("m"),
        lambda: actions.Start("m"),
        lambda: actions.Stop("m", 5, force=True),
        lambda: actions.Autostart("m", enabled=False),
        lambda: actions.Pin("m", {"0": "1-3"}, "0"),
        lambda: actions.Attach("m", "52:54:00:00:00:01", "default", "network"),
    ],
)
def test_an_action_comes_back_from_the_journal_as_it_was(make: Callable[[], actions.Start]) -> None:
    action = make()
    written = action.data()
    assert load_action(str(written["kind"]), dict(written["fields"])) == action  # type: ignore[arg-type]  # fields are a record
    assert action.uri == "test:///default"
    assert action.describe().startswith("machine m: ")


def test_a_running_machine_is_neither_started_nor_defined_twice() -> None:
    assert vm.start("test") == Plan("start machine test")
    with pytest.raises(ConflictError, match="exists already"):
        vm.define("<domain type='test'><name>test</name></domain>")


def test_forcing_off_says_what_is_lost() -> None:
    assert any("is lost" in note for note in vm.kill("test").notes)
    assert not vm.stop("test").notes


def test_xml_without_a_name_or_with_a_password_is_refused() -> None:
    with pytest.raises(UsageError, match="name is empty"):
        vm.define("<domain/>")
    with pytest.raises(NotSupportedError, match="holds a password"):
        vm.define("<domain><name>x</name><devices><graphics passwd='p'/></devices></domain>")
    with pytest.raises(MachineError, match="XML"):
        vm.define("<domain>")
