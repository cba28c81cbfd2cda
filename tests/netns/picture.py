"""A namespace as iproute2 shows it, without what changes by itself: the oracle for "as before" and "moved"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from netns.lab import Lab

Entries: TypeAlias = "list[dict[str, Any]]"
VOLATILE = {"valid_life_time", "preferred_life_time", "expires", "stable-privacy", "gc_timer", "hello_timer"}


def everything(lab: Lab) -> dict[str, Entries]:
    return {
        "addresses": _steady(lab.json("addr")),
        "routes": _steady(lab.json("-4", "route", "show", "table", "all")),
        "routes6": _steady(lab.json("-6", "route", "show", "table", "all")),
        "rules": _steady(lab.json("rule")),
        "rules6": _steady(lab.json("-6", "rule")),
    }


def held(lab: Lab, link: str) -> dict[str, Entries]:
    """What ``link`` holds besides its automatic link-local things, as if its name were LINK."""
    (shown,) = lab.json("addr", "show", "dev", link)
    routes = lab.json("-4", "route", "show", "table", "all") + lab.json("-6", "route", "show", "table", "all")
    return {
        "addresses": [_renamed(a, link) for a in _steady(shown["addr_info"]) if not a["local"].startswith("fe80")],
        "routes": [_renamed(r, link) for r in _steady(routes) if _uses(r, link) and not _automatic(r)],
    }


def _steady(entries: Entries) -> Entries:
    return [{key: _inner(value) for key, value in entry.items() if key not in VOLATILE} for entry in entries]


def _inner(value: object) -> object:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _steady(value)
    if isinstance(value, dict):
        return _steady([value])[0]
    return value


def _uses(route: dict[str, Any], link: str) -> bool:
    return route.get("dev") == link or any(hop["dev"] == link for hop in route.get("nexthops", ()))


def _automatic(route: dict[str, Any]) -> bool:
    return bool(route["dst"].startswith(("fe80", "ff00")))


def _renamed(entry: dict[str, Any], link: str) -> dict[str, Any]:
    """The device, and the label that begins with its name."""
    named = {**entry}
    for key in ("dev", "label"):
        if str(named.get(key, "")).startswith(link):
            named[key] = "LINK" + str(named[key])[len(link) :]
    if "nexthops" in named:
        named["nexthops"] = [_renamed(hop, link) for hop in named["nexthops"]]
    return named
