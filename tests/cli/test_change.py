"""What JSON says of a plan that has nothing to do."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from virtkit.cli.change import carry_out
from virtkit.cli.show import Console
from virtkit.core.plan import Plan

if TYPE_CHECKING:
    import pytest


def test_a_plan_without_a_change_tells_its_figures_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(plan=False, yes=True, output="json", quiet=False, verbose=False)
    console = Console()
    console.configure(args)
    assert carry_out(Plan("place web1", ()), args, console, told=lambda: {"score": 0}) == 0
    console.flush()
    page = json.loads(capsys.readouterr().out)
    assert (page["changed"], page["change"], page["score"]) == (False, None, 0)
