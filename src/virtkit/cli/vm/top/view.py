"""What a person chose to see, and what each key makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.cli.vm.top import SORTS

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = {"c": "cpu", "l": "steal", "m": "mem", "r": "read", "w": "write", "x": "rx", "t": "tx", "n": "name"}
HELP = "q quit  s sort (c l m r w x t n)  R reverse  / filter  d devices  j k scroll"


class View(NamedTuple):
    sort: str
    reverse: bool
    devices: bool
    wanted: str = ""  # names that hold this
    typing: bool = False  # the keys go to ``wanted``
    skipped: int = 0  # machines above the first one shown
    ended: bool = False


def pressed(view: View, keys: str) -> View:
    """After ``keys``, which may be several, pasted or typed between two looks."""
    for key in keys.replace("\x1b[A", "k").replace("\x1b[B", "j"):
        view = _typed(view, key) if view.typing else _pressed(view, key)
    return view


def _pressed(view: View, key: str) -> View:
    if key in KEYS:
        return view._replace(sort=KEYS[key], skipped=0)
    return _ACTS[key](view) if key in _ACTS else view


_ACTS: dict[str, Callable[[View], View]] = {
    **dict.fromkeys("q\x1b\x03\x04", lambda view: view._replace(ended=True)),
    "s": lambda view: view._replace(sort=SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)], skipped=0),
    "R": lambda view: view._replace(reverse=not view.reverse, skipped=0),
    "d": lambda view: view._replace(devices=not view.devices),
    "/": lambda view: view._replace(typing=True, wanted="", skipped=0),
    "j": lambda view: view._replace(skipped=view.skipped + 1),
    "k": lambda view: view._replace(skipped=max(view.skipped - 1, 0)),
}


def _typed(view: View, key: str) -> View:
    match key:
        case "\r" | "\n":
            return view._replace(typing=False)
        case "\x1b":
            return view._replace(typing=False, wanted="")
        case "\x7f" | "\b":
            return view._replace(wanted=view.wanted[:-1])
    return view._replace(wanted=view.wanted + key) if key.isprintable() else view
