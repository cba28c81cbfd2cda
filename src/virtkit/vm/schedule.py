"""When a machine starts with the host, as its XML says it: ``<virtkit:autostart order="1" delay="5"/>``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.vm.xml import element, remove, text

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.vm.domain import Domain

NAMESPACE = "urn:virtkit:autostart"
PREFIX = "virtkit"
LONGEST = 3600  # seconds


class Schedule(NamedTuple):
    order: int  # the lowest first; the same: by name
    delay: int = 0  # seconds after its start before the next one's
    agent: int = 0  # likewise, but only until its agent answers

    def __str__(self) -> str:
        wait = f", then up to {self.agent} s for its agent" if self.agent else f", then {self.delay} s"
        return f"order {self.order}{wait if self.agent or self.delay else ''}"


def check(name: str, asked: Schedule) -> None:
    """UsageError."""
    if asked.order < 0:
        raise UsageError(f"{name}: order is {asked.order}, expected 0 or more")
    for word in ("delay", "agent"):
        if not 0 <= (seconds := getattr(asked, word)) <= LONGEST:
            raise UsageError(f"{name}: {word} is {seconds} s, expected 0 to {LONGEST}")
    if asked.delay and asked.agent:
        raise UsageError(f"{name}: both --delay and --agent are given, expected one of them")


def of(domain: Domain) -> Schedule | None:
    """None where there is none."""
    for node in domain.node.findall("metadata/*"):
        if node.get(f"xmlns:{PREFIX}") == NAMESPACE:
            values = [node.get(word, "0") for word in Schedule._fields]
            return Schedule(*(int(value) if value.isdecimal() else 0 for value in values))
    return None


def from_json(state: Json) -> Schedule | None:
    return Schedule(*(int(str(value)) for value in state)) if isinstance(state, list) else None


def forget(domain: Domain) -> None:
    """A clone does not start with the host because its original does."""
    for node in domain.node.findall("metadata/*"):
        if node.get(f"xmlns:{PREFIX}") == NAMESPACE:
            remove(domain.node, node)


def written(wanted: Schedule) -> str:
    """The element, without the prefix that libvirt gives it."""
    values = {word: str(value) for word, value in wanted._asdict().items() if value or word == "order"}
    return text(element("autostart", values))
