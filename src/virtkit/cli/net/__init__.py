"""``virtkit net``: this host's links and bridges. A verb is a module of its name with ``build(parser)``."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    from virtkit.cli.options import Arguments

VERBS = {
    "show": "links with addresses, ports and default routes",
    "doctor": "why guests on a bridge are mute, and what mends it",
    "bridge": "create, delete or show bridges",
}


def build(parser: Arguments) -> None:
    options.verbs(parser, {verb: (partial(_build, verb), about) for verb, about in VERBS.items()})


def _build(verb: str, parser: Arguments) -> None:
    import_module(f"virtkit.cli.net.{verb}").build(parser)
