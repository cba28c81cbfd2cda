"""Whether virtkit made a bridge. Its alias says so until the host starts anew; then the files make it, without one.

So the journal is asked: the last change that made or deleted a bridge of this name made it, with this MAC address, and
wrote a file that makes it today. A bridge that somebody else set up under the name has another file or another MAC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.change import Status
from virtkit.core.errors import VirtkitError
from virtkit.core.journal import Journal
from virtkit.net import ownership
from virtkit.net.actions import ChangeFile, CreateBridge, CreateFile, DeleteBridge

if TYPE_CHECKING:
    from virtkit.core.change import Change
    from virtkit.core.system import System
    from virtkit.net.model import Link

MADE_OR_DELETED = {CreateBridge.kind, DeleteBridge.kind}
WROTE = {CreateFile.kind, ChangeFile.kind}


def made_here(system: System, bridge: Link) -> bool:
    """Of an unreadable journal nothing is believed."""
    if bridge.ours or bridge.kind != "bridge":
        return bridge.ours
    try:
        written = _written_with(Journal.default().changes(), bridge)
    except VirtkitError:
        return False
    owner = ownership.find(system, bridge.name) if written else None
    return owner is not None and not written.isdisjoint(owner.files)


def _written_with(changes: list[Change], bridge: Link) -> set[str]:
    """The files of the change that made the bridge; none where it was not made, or deleted since."""
    for change in reversed(changes):
        done = [step for step in change.steps if change.committed and step.status is Status.DONE]
        for step in reversed(done):
            if step.kind in MADE_OR_DELETED and step.fields["name"] == bridge.name:
                made = step.fields.get("mac") == bridge.mac
                return {str(step.fields["path"]) for step in done if step.kind in WROTE} if made else set()
    return set()
