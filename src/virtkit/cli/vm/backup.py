"""``virtkit vm backup``: points in time that a machine can be restored from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.recipes.backups import Point

_USAGE = """\
virtkit vm backup NAME TARGET [--incremental] [--pull] [--compress]
       virtkit vm backup list TARGET
       virtkit vm backup verify TARGET [--number N]
       virtkit vm backup restore TARGET NAME [--number N] [--directory DIR]"""


def build(parser: Arguments) -> None:
    parser.usage = _USAGE
    if parser.following and parser.following[0] in PARTS:
        parts = parser.add_subparsers(metavar="WHAT", required=True, dest="part")
        fill, run, about = PARTS[parser.following[0]]
        part = parts.add_parser(parser.following[0], help=about)
        part.add_argument("target", metavar="TARGET", help="the directory of the backups")
        fill(part)
        part.set_defaults(run=run)
        return
    facts.named(parser)
    parser.add_argument("target", metavar="TARGET", help="a directory for this machine's backups; made if it is new")
    parser.add_argument("--incremental", action="store_true", help="what changed since the newest one there")
    about = "read it through QEMU's socket and write it ourselves: QEMU needs not reach TARGET"
    parser.add_argument("--pull", action="store_true", help=about)
    parser.add_argument("--compress", action="store_true", help="by zlib; with --pull")
    options.change(parser)
    parser.set_defaults(run=_backup)


def _fill_verify(parser: Arguments) -> None:
    parser.add_argument("--number", metavar="N", type=int, help="this one alone")
    options.output(parser)


def _fill_restore(parser: Arguments) -> None:
    parser.add_argument("name", metavar="NAME", help="of the new machine")
    parser.add_argument("--number", metavar="N", type=int, help="of the backup; else the newest")
    parser.add_argument("--directory", metavar="DIR", default="", help="of its disks; else beside the old ones")
    options.change(parser)


def _backup(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.recipes.backups import backup

    how = {"incremental": args.incremental, "pull": args.pull, "compress": args.compress}
    return carry_out(backup(args.name, args.target, **how), args, console, ask=False)


def _list(args: argparse.Namespace, console: Console) -> int:
    from virtkit.recipes.backups import points
    from virtkit.recipes.backups.store import unfinished

    found, left = points(args.target), unfinished(args.target)
    if console.json:
        console.data({"backups": [_data(args.target, each) for each in found], "unfinished": list(left)})
        return 0
    if not found:
        console.line("no backups yet")
    else:
        rows = [_row(args.target, each) for each in found]
        console.table(("N", "MACHINE", "TAKEN", "KIND", "DISKS", "TAKES", "GUEST"), rows)
    console.lines(f"{name}: unfinished; the next backup removes it" for name in left)
    return 0


def _verify(args: argparse.Namespace, console: Console) -> int:
    from virtkit.recipes.backups import verify

    with console.progress() as report:
        found = verify(args.target, args.number, report)
    if console.json:
        console.data([dict(each._asdict()) for each in found])
    else:
        console.lines(
            f"✗ {each.fault}" if each.fault else f"✓ backup {each.number}, disk {each.disk}: reads as it was made"
            for each in found
        )
    return 1 if any(each.fault for each in found) else 0


def _restore(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.recipes.backups import restore

    return carry_out(restore(args.target, args.name, args.number, args.directory), args, console)


def _takes(target: str, point: Point) -> int:
    """Bytes on the file system."""
    import os

    from virtkit.recipes.backups.store import image

    files = [image(target, point.number, volume.target) for volume in point.volumes]
    return sum(os.stat(file).st_blocks * 512 for file in files if os.path.exists(file))


def _data(target: str, point: Point) -> dict[str, Json]:
    volumes: list[Json] = [dict(volume._asdict()) for volume in point.volumes]
    known: dict[str, Json] = {name: value for name, value in point._asdict().items() if name not in ("volumes", "xml")}
    return {**known, "kind": point.kind, "takes": _takes(target, point), "disks": volumes}


def _row(target: str, point: Point) -> tuple[str, ...]:
    import time

    from virtkit.core.units import format_size

    return (
        str(point.number),
        point.machine,
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(point.taken)),
        point.kind,
        " ".join(volume.target for volume in point.volumes),
        format_size(_takes(target, point)),
        "frozen" if point.frozen else point.state,
    )


PARTS = {
    "list": (options.output, _list, "what is there, and what each takes"),
    "verify": (_fill_verify, _verify, "read all of it: is it as it was made?"),
    "restore": (_fill_restore, _restore, "make a new machine of one"),
}
