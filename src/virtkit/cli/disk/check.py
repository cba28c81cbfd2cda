"""``disk check``: an image's metadata held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, several
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.access import Access
    from virtkit.disk.format import Findings
    from virtkit.disk.mending.repair import Repaired

CORRUPT, LEAKS, CANNOT_BE_CHECKED = 2, 3, 63  # exit statuses, as qemu-img's; 1: the check could not end


def build(parser: Arguments) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=several.ABOUT)
    parser.mixed = True
    parser.add_argument(
        "-r", dest="repair", choices=("leaks", "all"), help="mend leaks, or everything; see also virtkit disk repair"
    )
    arguments.source(parser)
    options.output(parser)
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace, console: Console) -> int:
    access = arguments.access(args)
    work = _repair if args.repair else _only_check

    def one(path: str) -> int:
        try:
            return work(path, args, access, console)
        except NotSupportedError as error:
            console.error(error)
            return CANNOT_BE_CHECKED

    return several.each(args.files, one, console, worst=worst)


def worst(statuses: Iterable[int]) -> int:
    """Damage first, then checks that could not end, leaks, and formats that have nothing to check."""
    return max(statuses, key=(0, CANNOT_BE_CHECKED, LEAKS, 1, CORRUPT).index)


def _only_check(path: str, args: argparse.Namespace, access: Access, console: Console) -> int:
    from virtkit import disk

    name, findings = disk.check(path, args.source_format, access)
    if console.json:
        console.data(check_data(path, name, findings))
    elif len(args.files) > 1:
        _print_briefly(path, findings, console)
    else:
        print_findings(findings, console)
    return status(findings)


def _repair(path: str, args: argparse.Namespace, access: Access, console: Console) -> int:
    from virtkit import disk

    done = disk.repair(path, args.source_format, leaks_only=args.repair == "leaks", access=access)
    if console.json:
        console.data(repaired_data(path, done))
        return status(done.after)
    print_repaired(path, done, console)
    if len(args.files) > 1:
        _print_briefly(path, done.after, console)
    else:
        print_findings(done.after, console)
    return status(done.after)


def _print_briefly(path: str, found: Findings, console: Console) -> None:
    """A line for one of several images, and a line for each finding."""
    if status(found):
        console.line(f"✗ {path}: {found.corruptions} errors, {found.leaks} leaked clusters")
    else:
        console.line(f"✓ {path}: no errors")
    for line in found.details:
        console.line(f"  {line}")


def status(found: Findings) -> int:
    """Of the whole program, as qemu-img's."""
    if found.corruptions:
        return CORRUPT
    return LEAKS if found.leaks else 0


def repaired_data(path: str, done: Repaired) -> dict[str, Json]:
    """qemu-img's keys; those of which there are none are left out. ``undo`` and ``changes`` are ours."""
    fixed: dict[str, Json] = {"corruptions-fixed": done.corruptions_fixed, "leaks-fixed": done.leaks_fixed}
    told: dict[str, Json] = {"changes": list(done.changes), "undo": done.undo}
    shown = {key: value for key, value in {**fixed, **told}.items() if value}
    return {**check_data(path, done.format, done.after), **shown}


def print_repaired(path: str, done: Repaired, console: Console) -> None:
    if done.undo is None:
        helps = "nothing that could be mended (virtkit disk convert --salvage copies what can be read)"
        console.line(f"✗ {path}: {helps}" if status(done.after) else f"✓ {path}: nothing to repair")
        return
    counts = f"{done.corruptions_fixed} corruptions and {done.leaks_fixed} leaks mended"
    console.line(f"✓ {path}: {counts} (to take it back: virtkit disk repair --take-back {done.undo} {path})")
    for change in done.changes:
        console.line(f"  ~ {change}")


def check_data(path: str, name: str, found: Findings) -> dict[str, Json]:
    """qemu-img's keys; those that are 0 it leaves out are left out here too."""
    data: dict[str, Json] = {
        "image-end-offset": found.image_end,
        "total-clusters": found.total_clusters,
        "check-errors": 0,  # a check that meets one ends there, with exit status 1 and no report
        "filename": path,
        "format": name,
    }
    counted = {
        "allocated-clusters": found.allocated_clusters,
        "fragmented-clusters": found.fragmented_clusters,
        "compressed-clusters": found.compressed_clusters,
        "corruptions": found.corruptions,
        "leaks": found.leaks,
    }
    return {**data, **{key: value for key, value in counted.items() if value}}


def print_findings(found: Findings, console: Console) -> None:
    if not found.corruptions and not found.leaks:
        console.line("No errors were found on the image.")
    if found.corruptions:
        console.line(f"{found.corruptions} errors were found: the image is corrupt, its data is at risk")
    if found.leaks:
        console.line(f"{found.leaks} clusters are leaked: space is wasted, the data is safe")
    for line in found.details:
        console.line(f"  {line}")
    if found.total_clusters and found.allocated_clusters:
        shares = (
            f"{found.allocated_clusters}/{found.total_clusters} = "
            f"{found.allocated_clusters / found.total_clusters:.2%} allocated, "
            f"{found.fragmented_clusters / found.allocated_clusters:.2%} fragmented, "
            f"{found.compressed_clusters / found.allocated_clusters:.2%} compressed clusters"
        )
        console.line(shares)
    console.line(f"Image end offset: {found.image_end}")
