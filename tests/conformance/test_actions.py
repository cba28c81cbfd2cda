"""Every action of every area must pass this: another process, of a later day, has to be able to undo it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import Field, fields, is_dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, get_type_hints

import pytest

from support.steps import TESTS
from virtkit.core.plan import Action, load_action

if TYPE_CHECKING:
    from virtkit.core.plan import Json

AREAS = [area for area in ("core", "disk", "net", "vm", "host", "recipes") if find_spec(f"virtkit.{area}.actions")]
SAMPLES: dict[str, Json] = {
    "str": "text",
    "int": 7,
    "float": 1.5,
    "bool": True,
    "list": [1],
    "dict": {"a": 1},
    "None": None,
}
FORMS: dict[str, Json] = {
    "address": "10.0.0.1/24",
    "path": "/tmp/a",
    "probes": ["arp 10.0.0.1 eth0 br0"],
    "mac": "52:54:00:00:00:01",
    "vcpus": {"0": "1"},
    "emulator": "0-1",
    "iothreads": {"1": "0-1"},
    "nodes": "0",
    "xml": "<domain type='qemu'><name>a</name><vcpu>1</vcpu></domain>",
}
LOAD = """
import json, sys
from virtkit.core.plan import load_action
print(type(load_action(sys.argv[1], json.loads(sys.argv[2]))).__name__)
"""


def below(kind: type[Action]) -> list[type[Action]]:
    return [found for child in kind.__subclasses__() for found in (child, *below(child))]


def actions() -> list[type[Action]]:
    for area in AREAS:
        import_module(f"virtkit.{area}.actions")
    return sorted(
        (found for found in below(Action) if found.__module__.startswith("virtkit.") and "kind" in found.__dict__),
        key=lambda found: found.kind,
    )


@pytest.fixture(params=actions(), ids=lambda found: found.kind)
def action(request: pytest.FixtureRequest) -> type[Action]:
    found: type[Action] = request.param
    return found


def sample(action: type[Action]) -> dict[str, Json]:
    """A value for each field, by its name where text has a form, else by its type."""
    hints = get_type_hints(action, localns={"Json": object})  # known to type checkers alone
    return {name: FORMS.get(name, SAMPLES[_first_type(hints[name])]) for name in (f.name for f in _fields(action))}


def _fields(action: type[Action]) -> tuple[Field[object], ...]:
    return fields(action)  # type: ignore[arg-type]  # asserted to be a dataclass below


def _first_type(hint: object) -> str:
    """``int`` of ``int``, ``int | None`` and ``list[str]``'s ``list``."""
    return re.split(r"[ \[]", str(getattr(hint, "__name__", hint)))[0]


def test_there_are_actions() -> None:
    assert {"disk", "net", "vm", "recipes"} <= {found.kind.partition(".")[0] for found in actions()}


def test_an_action_is_frozen_data_named_after_its_area(action: type[Action]) -> None:
    assert is_dataclass(action)
    assert action.__dataclass_params__.frozen
    assert action.kind.partition(".")[0] == action.__module__.split(".")[1]
    assert action.sign in {"+", "~", "-"}


def test_an_action_survives_the_journal(action: type[Action]) -> None:
    made = action(**sample(action))
    data = json.loads(json.dumps(made.data()))
    assert load_action(data["kind"], data["fields"]) == made


def test_another_process_finds_it_by_its_kind(action: type[Action]) -> None:
    command = [sys.executable, "-c", LOAD, action.kind, json.dumps(sample(action))]
    found = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(TESTS.parent / "src")}
    )
    assert found.stdout.strip() == action.__name__


def test_an_action_says_what_it_does_in_one_line(action: type[Action]) -> None:
    text = action(**sample(action)).describe()
    assert text
    assert "\n" not in text
    assert len(text) < 200


def test_what_changes_the_host_is_roots(action: type[Action]) -> None:
    area = action.kind.partition(".")[0]
    if area in {"net", "host"} and action.changes:
        assert action.needs_root
