"""``disk check``: an image's metadata held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.format import Findings

CORRUPT, LEAKS, CANNOT_BE_CHECKED = 2, 3, 63  # exit statuses, as qemu-img's; 1: the check could not end


def build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    arguments.source(parser)
    options.output(parser)
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    try:
        name, findings = disk.check(args.file, args.source_format, arguments.access(args))
    except NotSupportedError as error:
        console.error(error)
        return CANNOT_BE_CHECKED
    if console.json:
        console.data(_check_data(args.file, name, findings))
    else:
        _print_findings(findings, console)
    if findings.corruptions:
        return CORRUPT
    return LEAKS if findings.leaks else 0


def _check_data(path: str, name: str, found: Findings) -> dict[str, Json]:
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


def _print_findings(found: Findings, console: Console) -> None:
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
