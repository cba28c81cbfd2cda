"""A move that also outlives a reboot: the owner's files and its daemon around what the kernel does.

In this order: the daemon keeps out of it, the kernel moves, the files say the new, the daemon adopts, and the next
start of the host is rehearsed. A power cut before the files are written starts the host as it always was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.files import text_of
from virtkit.net import notes, ownership
from virtkit.net.actions import Adopt, DeleteBridge, Dismiss, Introduce, JoinBridge, Rehearse, StandBack
from virtkit.net.actions.files import plan_file
from virtkit.net.backend import Escort, PortFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.net.backend import File, Owner, Wish

UNTIL_REBOOT = "lasts until the next reboot: nobody configures {link} on this host, so no file is changed"
UNWRITTEN = "lasts until {stranger}, which configures {link}, does so again: virtkit does not write its files"


def bridged(system: System, owner: Owner, wish: Wish, move: Sequence[Action]) -> tuple[Action, ...]:
    """``move`` and what makes it last. NotSupportedError where the files cannot say it, before anything is touched."""
    files = ownership.load(owner.backend).bridged(system, owner, wish)
    return _wrapped(system, owner.backend, wish.port, wish.bridge, files=files, move=move)


def released(system: System, owner: Owner, bridge: str, port: str, move: Sequence[Action]) -> tuple[Action, ...]:
    """The reverse, for a bridge that these files make."""
    files = ownership.load(owner.backend).released(system, bridge, port)
    return _wrapped(system, owner.backend, port, bridge, files=files, move=move)


def joined(system: System, bridge: str, port: str) -> tuple[Sequence[Action], Sequence[str]]:
    """What gives ``bridge`` a further port at each start, too, and what is to be told: empty where all is done."""
    return _ported(system, bridge, port, joins=True)


def parted(system: System, bridge: str, port: str) -> tuple[Sequence[Action], Sequence[str]]:
    """As :func:`joined`, for a port that leaves."""
    return _ported(system, bridge, port, joins=False)


def _ported(system: System, bridge: str, port: str, *, joins: bool) -> tuple[Sequence[Action], Sequence[str]]:
    owner = ownership.find(system, bridge)
    if owner is None:
        return (), (notes.UNTIL_REBOOT,)
    backend = ownership.load(owner.backend)
    if isinstance(backend, PortFiles):
        files = (backend.joined if joins else backend.parted)(system, bridge, port)
        return _written(system, owner.backend, files), ()
    where = f"{backend.title} makes {bridge} from {', '.join(owner.files)}, where nothing is changed for {port}"
    by_hand = backend.further_port.format(bridge=bridge, port=port)
    return (), (f"lasts until the next reboot: {where}", *([f"to make it last: {by_hand}"] if joins else []))


def about(system: System, owner: Owner | None, link: str) -> list[str]:
    """For the plan's notes: who configures the link, how that is known, and who else writes there."""
    if owner is None:
        stranger = ownership.stranger(system, link)
        return [(UNWRITTEN if stranger else UNTIL_REBOOT).format(link=link, stranger=stranger)]
    title = ownership.load(owner.backend).title
    lines = [f"{link} is configured by {title}: {owner.because}"]
    if owner.writer:
        lines.append(f"{', '.join(owner.files)}: written anew by {owner.writer}")
    return lines


def _wrapped(
    system: System, name: str, port: str, bridge: str, *, files: Sequence[File], move: Sequence[Action]
) -> tuple[Action, ...]:
    title = ownership.load(name).title
    was = {file.path: text_of(system, file.path) for file in files}
    return (
        StandBack(name, title, port, bridge),
        *_escorted(system, name, port, bridge, move),
        *_written(system, name, files),
        Adopt(name, title, port, bridge),
        Rehearse(name, title, port, bridge, was),
    )


def _escorted(system: System, name: str, port: str, bridge: str, move: Sequence[Action]) -> list[Action]:
    """``move``, and where the daemon needs it: the bridge introduced while it is empty, before the port joins it."""
    backend = ownership.load(name)
    steps: list[Action] = []
    escorted = isinstance(backend, Escort) and backend.escorts(system, port)
    for action in move:
        if escorted and isinstance(action, JoinBridge):
            steps.append(Introduce(name, backend.title, port, bridge))
        if escorted and isinstance(action, DeleteBridge):
            steps.append(Dismiss(name, backend.title, port, bridge))
        steps.append(action)
    return steps


def _written(system: System, name: str, files: Sequence[File]) -> list[Action]:
    backend = ownership.load(name)
    if problems := backend.problems(system, files):
        raise NotSupportedError(f"{backend.title}: would not take the new files: {'; '.join(problems)}")
    return [step for file in files if (step := plan_file(system, file))]
