"""Every verb's own help."""

from __future__ import annotations

import importlib

import pytest

from virtkit.cli.main import main


@pytest.mark.parametrize("area", ["vm", "host"])
def test_every_verb_has_help_that_fits_into_80_columns(
    area: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    verbs = list(importlib.import_module(f"virtkit.cli.{area}").VERBS)
    assert len(verbs) > 10
    for verb in verbs:
        assert main([area, verb, "--help"]) == 0
        told = capsys.readouterr().out
        assert told.startswith(f"usage: virtkit {area} {verb} ")
        assert [line for line in told.splitlines() if len(line) > 80] == []
