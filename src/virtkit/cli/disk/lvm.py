"""``disk lvm``: logical volumes as raw disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import consent
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.lvm import Group, Volume


def build(parser: Arguments) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", help="volume groups and logical volumes")
    options.output(listed)
    listed.set_defaults(run=_list)
    _build_create(verbs.add_parser("create", help="a new logical volume, plain or thin"))
    _build_snapshot(verbs.add_parser("snapshot", help="what a volume holds now, as another volume"))
    _build_remove(verbs.add_parser("remove", help="remove a volume for good"))


def _build_create(parser: Arguments) -> None:
    parser.add_argument("name", metavar="VG/LV")
    parser.add_argument("size", metavar="SIZE", help="as 10G; rounded up to whole extents")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--thin", dest="pool", metavar="POOL", help="thin, in this thin pool of the group")
    kind.add_argument("--pool", dest="as_pool", action="store_true", help="a thin pool")
    options.change(parser)
    parser.set_defaults(run=_create)


def _build_snapshot(parser: Arguments) -> None:
    parser.add_argument("origin", metavar="VG/LV", help="the volume, by name or path")
    parser.add_argument("name", metavar="NAME", help="of the snapshot, in the same group")
    parser.add_argument(
        "--size", help="how much may change before it is worth nothing (default: a fifth); not for thin volumes"
    )
    options.change(parser)
    parser.set_defaults(run=_snapshot)


def _build_remove(parser: Arguments) -> None:
    parser.add_argument("name", metavar="VG/LV", help="the volume, by name or path")
    parser.add_argument("--with-snapshots", action="store_true", help="and what cannot be without it")
    options.change(parser)
    parser.set_defaults(run=_remove)


def _list(args: argparse.Namespace, console: Console) -> int:
    from virtkit.disk import lvm

    groups, volumes = lvm.groups(), lvm.volumes()
    if console.json:
        console.data({"groups": [_group_data(group) for group in groups], "volumes": list(map(_data, volumes))})
        return 0
    if not groups:
        console.line("no volume groups")
        return 0
    console.table(("GROUP", "SIZE", "FREE"), [(g.name, format_size(g.size), format_size(g.free)) for g in groups])
    if volumes:
        console.line("")
        columns = ("VOLUME", "SIZE", "KIND", "ORIGIN", "POOL", "DATA", "STATE", "PATH")
        console.table(columns, [_row(volume) for volume in volumes])
    return 0


def _create(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.disk import lvm

    plan = lvm.create(args.name, parse_size(args.size), pool=args.pool, as_pool=args.as_pool)
    return carry_out(plan, args, console, ask=False)


def _snapshot(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.disk import lvm

    size = parse_size(args.size) if args.size else None
    return carry_out(lvm.snapshot(args.origin, args.name, size), args, console, ask=False)


def _remove(args: argparse.Namespace, console: Console) -> int:
    from virtkit.disk import lvm

    doomed = lvm.doomed(args.name, with_snapshots=args.with_snapshots)
    steps = tuple(consent.Step("-", f"{volume.full_name}: {_what(volume)}") for volume in doomed)
    proposal = consent.Proposal(f"remove {doomed[-1].full_name}", steps, ("what it holds is lost for good",))
    status = consent.settle(proposal, args, console, ask=True)
    if status is not None:
        return status
    lvm.remove(doomed)
    if console.json:
        console.data({"removed": [volume.full_name for volume in doomed]})
    elif not console.quiet:
        for volume in doomed:
            console.line(f"✓ {volume.full_name}: removed")
    return 0


def _what(volume: Volume) -> str:
    return f"{volume.kind.value} of {format_size(volume.size)}"


def _row(volume: Volume) -> tuple[str, ...]:
    data = "" if volume.data_percent is None else f"{volume.data_percent:g} %"
    state = "open" if volume.open else "active" if volume.active else "inactive"
    names = (volume.full_name, format_size(volume.size), volume.kind.value)
    return (*names, volume.origin or "", volume.pool or "", data, state, volume.path)


def _group_data(group: Group) -> dict[str, Json]:
    return {"name": group.name, "size": group.size, "free": group.free, "extent-size": group.extent_size}


def _data(volume: Volume) -> dict[str, Json]:
    return {
        "group": volume.group,
        "name": volume.name,
        "path": volume.path,
        "size": volume.size,
        "kind": volume.kind.value,
        "uuid": volume.uuid,
        "active": volume.active,
        "open": volume.open,
        "origin": volume.origin,
        "pool": volume.pool,
        "data-percent": volume.data_percent,
        "metadata-percent": volume.metadata_percent,
        "reserved": volume.reserved,
    }
