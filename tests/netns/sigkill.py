"""A table: the tool that makes a bridge over a host's only link is killed at every boundary of its work.

``PYTHONPATH=src:tests python -m netns.sigkill`` (root, two minutes). At each line of the journal and each transaction
of netlink the tool gets SIGKILL, while 200 pings a second of each family go both ways. The rows are what the guardian
made of it: the host as before, or, where the change only waited for its confirmation, the change whole.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netns import house, picture, traffic
from netns import lab as labs
from virtkit.core.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y", "--auto-confirm")
BOUNDARIES = (("Log.write", "call"), ("Log.write", "return"), ("Kernel.transaction", "return"))
MOST = 40  # of one kind; there are far fewer


class Row(NamedTuple):
    place: str
    told: str  # the last line that the journal had from the tool
    outcome: str
    seconds: float  # until it was so
    lost: int  # pings, the most in any direction and family


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="virtkit-sigkill-"))
    try:
        layer = house.layer(folder / "layer")
        (folder / "shared").mkdir()
        root = house.build(folder / "house", layer, [folder / "shared"])
        lab = labs.Lab("vksigkill-host", "vksigkill-gateway", folder / "shared/state", root)
        labs.remove(lab)
        labs.build(lab)
        _print(f"{'killed at':28} {'last line':12} {'outcome':34} {'after':>8} {'lost':>5}")
        for row in _rows(lab):
            _print(f"{row.place:28} {row.told:12} {row.outcome:34} {row.seconds:6.2f} s {row.lost:5}")
        labs.remove(lab)
    finally:
        for place in ("house", "layer"):
            house.remove(folder / place)
        shutil.rmtree(folder, ignore_errors=True)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _rows(lab: Lab) -> Iterator[Row]:
    labs.settle(lab)
    for function, event in BOUNDARIES:
        for number in range(1, MOST):
            row = _row(lab, f"{function} {event} {number}")
            if row is None:
                break
            yield row


def _row(lab: Lab, place: str) -> Row | None:
    """None: the tool came to its end without passing there."""
    before = picture.everything(lab)
    with traffic.counted(lab, (labs.HOST4, labs.HOST6)) as lost:
        ended = lab.doomed(place, *CREATE)
        died, told = time.monotonic(), _last_line(lab)
        if not list(lab.state.glob("journal/*.switch")):
            time.sleep(0.1)
        lab.closed()
        seconds = time.monotonic() - died
    killed = ended.returncode == -signal.SIGKILL
    assert killed or ended.returncode == 0, ended.stderr
    outcome = _outcome(lab, before)
    return Row(place, told, outcome, seconds, max(lost.values())) if killed else None


def _last_line(lab: Lab) -> str:
    files = sorted(lab.state.glob("journal/*.jsonl"), key=lambda path: int(path.stem))
    events = [line.split('"')[3] for line in files[-1].read_text().splitlines()] if files else []
    own = events[: events.index("taken")] if "taken" in events else events  # what follows is the guardian's
    return own[-1] if own else "none"


def _outcome(lab: Lab, before: dict[str, picture.Entries]) -> str:
    """And the host as it was, for the next row."""
    changes = Journal(lab.state / "journal").changes()
    done = bool(changes) and changes[-1].state == "done"
    if done:
        lab.virtkit("undo", "-y")
    same = picture.everything(lab) == before
    if done:
        return f"whole, confirmed by {changes[-1].confirmed}" + ("" if same else "; undo is NOT as before")
    return "as before" if same else "NOT as before"


if __name__ == "__main__":
    main()
