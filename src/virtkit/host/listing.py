"""The knobs of this host as they are set."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError
from virtkit.host.keeping import Keeping
from virtkit.host.kernel import Kernel
from virtkit.host.registry import find, knobs, settings

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.system import System
    from virtkit.host.keeping import Kept
    from virtkit.host.knob import Setting


class Row(NamedTuple):
    """A knob at one place."""

    setting: Setting
    now: str
    counts: str  # what is in effect; mostly the same
    legal: str
    writable: bool  # while the kernel runs
    kept: Kept | None  # what the next boot sets it to, if any file does

    def data(self) -> dict[str, Json]:
        knob = self.setting.knob
        return {
            "name": self.setting.name,
            "family": knob.family,
            "scope": knob.scope.value,
            "place": self.setting.place,
            "file": self.setting.file,
            "now": self.now,
            "in-effect": self.counts,
            "legal": self.legal,
            "run-time": self.writable,
            "persistent": self.kept and {"value": self.kept.value, "kind": self.kept.kind, "where": self.kept.where},
            "risk": knob.risk.value,
            "explanation": {"en": knob.explain.en, "zh": knob.explain.zh},
            "danger": {"en": knob.danger.en, "zh": knob.danger.zh} if knob.danger else None,
            "evidence": [evidence._asdict() for evidence in knob.evidence],
        }


def rows(system: System, only: str = "") -> list[Row]:
    """All, of one family, or of one knob with or without its place. NotFoundError if there is no such thing."""
    kernel = Kernel(system)
    if not only:
        found = list(settings(kernel))
    elif only in families():
        found = [setting for setting in settings(kernel) if setting.knob.family == only]
    elif only.partition("@")[0] in knobs():
        found = find(kernel, only)
    else:
        raise NotFoundError(f"{only}: no such family or knob, families are {', '.join(families())}")
    keeping = Keeping(kernel)
    return [_row(setting, kernel, keeping) for setting in found]


def families() -> list[str]:
    return list(dict.fromkeys(knob.family for knob in knobs().values()))


def _row(setting: Setting, kernel: Kernel, keeping: Keeping) -> Row:
    now, counts = setting.read(kernel) or "", setting.counts(kernel) or ""
    return Row(setting, now, counts, setting.legal(kernel), setting.writable(kernel), keeping.winner(setting))
