from __future__ import annotations

import json
import sys

import pytest

from support.steps import Write
from virtkit.core.errors import NotSupportedError
from virtkit.core.plan import Plan, load_action


def test_an_action_survives_json() -> None:
    data = json.loads(json.dumps(Write("/a", "text").data()))
    assert load_action(data["kind"], data["fields"]) == Write("/a", "text")


def test_an_empty_plan_is_false_and_a_plan_prints_as_lines() -> None:
    assert not Plan("nothing")
    plan = Plan("one", (Write("/a"),), ("careful",)) + Plan("two", (Write("/b"),))
    assert plan
    assert plan.lines() == ["~ write /a", "~ write /b"]
    assert json.loads(json.dumps(plan.data()))["actions"][0]["text"] == "write /a"
    assert plan.notes == ("careful",)


@pytest.mark.parametrize("kind", ["nowhere.thing", "disk.no_such_thing", "../etc.passwd", "", "core"])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    known = set(sys.modules)
    with pytest.raises(NotSupportedError, match="this version of virtkit"):
        load_action(kind, {})
    assert all(name.startswith("virtkit") or name in known or "." not in name for name in set(sys.modules) - known)
