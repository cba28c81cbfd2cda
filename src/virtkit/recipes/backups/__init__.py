"""Backups of a machine: a directory of points in time, each a qcow2 image a disk, on the point before it.

``TARGET/0001`` is the first point; its ``point.json`` says what it is. A point in the making is ``0002.part``: it gets
its name when all of it is on the disk and has been read back. So whatever is killed leaves nothing that looks whole.
"""

from virtkit.recipes.backups.plan import backup
from virtkit.recipes.backups.restore import restore
from virtkit.recipes.backups.store import Point, points
from virtkit.recipes.backups.verify import Verdict, verify

__all__ = ["Point", "Verdict", "backup", "points", "restore", "verify"]
