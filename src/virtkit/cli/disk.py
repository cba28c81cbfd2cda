"""``virtkit disk``: what a person types about images. Flags and JSON keys are qemu-img's where it has them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.core.errors import NotSupportedError, UsageError, VirtkitError
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.chain import Layer
    from virtkit.disk.description import Info
    from virtkit.disk.format import Findings
    from virtkit.disk.mapping import Entry

PLAN_HAS_CHANGES = 3  # exit status of --plan
DIFFERENT, COULD_NOT_COMPARE = 1, 2  # exit statuses of compare
CORRUPT, LEAKS, CANNOT_BE_CHECKED = 2, 3, 63  # exit statuses of check


def build(parser: argparse.ArgumentParser) -> None:
    options.verbs(
        parser,
        {
            "info": (_build_info, "format, sizes, backing file, snapshots, and where the data is"),
            "map": (_build_map, "where every byte of the guest's disk is"),
            "convert": (_build_convert, "make a new image with the content of another"),
            "compare": (_build_compare, "whether a guest sees the same disk: exit status 0 or 1"),
            "check": (_build_check, "hold an image's metadata against each other"),
            "formats": (_build_formats, "the formats that virtkit knows"),
        },
    )


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", dest="source_format", metavar="FORMAT", help="format of the image; raw must be said")
    parser.add_argument(
        "--trust-format", action="store_true", help="believe -f although the image carries another signature"
    )


def _backing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-backing",
        action="store_true",
        help="open backing files outside of the image's directory; for images whose maker you trust",
    )


def _build_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE")
    _source(parser)
    options.output(parser)
    parser.set_defaults(run=_info)


def _info(args: argparse.Namespace, console: Console) -> int:
    if console.json:
        found = [_read_info(path, args).data() for path in args.files]
        console.data(found[0] if len(found) == 1 else found)
        return 0
    status = 0
    for path in args.files:
        try:
            _print_info(path, args, console)
        except VirtkitError as error:  # the other files are still of interest
            if len(args.files) == 1:
                raise
            console.error(error)
            status = error.exit_status
    return status


def _read_info(path: str, args: argparse.Namespace) -> Info:
    from virtkit import disk

    return disk.info(path, args.source_format, trust_format=args.trust_format)


def _print_info(path: str, args: argparse.Namespace, console: Console) -> None:
    from virtkit.disk.chain import open_image
    from virtkit.disk.description import describe

    layer = open_image(path, args.source_format, trust_format=args.trust_format)
    try:
        for line in _info_lines(describe(layer)):
            console.line(line)
        _print_picture(layer, console)
    finally:
        layer.image.close()


def _info_lines(info: Info) -> list[str]:
    facts = info.facts
    share = f" ({info.actual_size / info.virtual_size:.1%} of the virtual size)" if info.virtual_size else ""
    lines = [
        f"{info.filename}: {info.format}, {format_size(info.virtual_size)} ({info.virtual_size} bytes)",
        f"  on disk       {format_size(info.actual_size)}{share}",
    ]
    if facts.cluster_size:
        lines.append(f"  cluster size  {format_size(facts.cluster_size)}")
    if info.backing:
        lines.append(f"  backing file  {info.backing.name} ({info.backing.format or 'format not said'})")
    if facts.snapshots:
        names = ", ".join(str(snapshot["name"]) for snapshot in facts.snapshots)
        lines.append(f"  snapshots     {len(facts.snapshots)}: {names}")
    state = [word for word, holds in (("dirty", facts.dirty), ("encrypted", facts.encrypted)) if holds]
    if state:
        lines.append(f"  state         {', '.join(state)}")
    plain = {key: value for key, value in (facts.specific or {}).items() if isinstance(value, str | int)}
    if plain:
        lines.append("  details       " + ", ".join(f"{key} {_word(value)}" for key, value in plain.items()))
    return lines


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _print_picture(layer: Layer, console: Console) -> None:
    from virtkit.cli import picture

    style = picture.glyphs()
    try:
        rows = list(picture.draw(layer.image, style))
    except NotSupportedError as error:  # an image may be described although its data cannot be read
        console.line(f"  allocation    not shown: {error.message}")
        return
    size = format_size(picture.cell_size(layer.image))
    console.line(f"  allocation    a character is {size}: {style.legend}")
    for row in rows:
        console.line(f"    {row}")


def _build_map(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    _source(parser)
    _backing(parser)
    options.output(parser)
    parser.set_defaults(run=_map)


def _map(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    entries = disk.map(args.file, args.source_format, allow_backing=args.allow_backing, trust_format=args.trust_format)
    if not console.json:
        console.line(f"{'start':>14} {'length':>14} {'offset':>14} depth what")
        for entry in entries:
            at = "-" if entry.offset is None else f"{entry.offset:#x}"
            console.line(f"{entry.start:#14x} {entry.length:#14x} {at:>14} {entry.depth:5} {_what(entry)}")
        return 0
    import json

    between = "["  # written entry by entry: the map of a large disk does not fit in memory
    for entry in entries:
        console.line(between + json.dumps({key: value for key, value in entry._asdict().items() if value is not None}))
        between = ","
    console.line("]" if between == "," else "[]")
    return 0


def _what(entry: Entry) -> str:
    if entry.compressed:
        return "compressed"
    if entry.data:
        return "data"
    return "zeros" if entry.present else "unallocated"


def _build_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("target", metavar="TARGET")
    _source(parser)
    parser.add_argument("-O", dest="target_format", metavar="FORMAT", help="format of TARGET; else its suffix says")
    parser.add_argument("-o", dest="options", action="append", default=[], metavar="NAME=VALUE[,...]", help="of TARGET")
    parser.add_argument("-c", dest="compress", action="store_true", help="compress; see -o compression_type=zstd")
    parser.add_argument("--level", choices=("fast", "balanced", "small"), help="of compression; implies -c")
    parser.add_argument("-p", dest="progress", action="store_true", help="as qemu-img's; progress is shown anyway")
    parser.add_argument("--overwrite", action="store_true", help="replace TARGET if it exists")
    parser.add_argument("--durable", action="store_true", help="return when all is on stable storage")
    _backing(parser)
    options.change(parser)
    parser.set_defaults(run=_convert)


def _convert(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    wanted = _parse_options(args.options)
    if args.plan:
        return _plan(args, console)
    with console.progress() as report:
        made = disk.convert(
            args.source,
            args.target,
            source_format=args.source_format,
            target_format=args.target_format,
            compress=args.compress or args.level is not None,
            level=args.level or "balanced",
            options=wanted,
            overwrite=args.overwrite,
            durable=args.durable,
            allow_backing=args.allow_backing,
            trust_format=args.trust_format,
            report=report,
        )
    if console.json:
        sizes: dict[str, Json] = {"virtual-size": made.size, "actual-size": made.allocated}
        console.data({"filename": made.target, "format": made.format, **sizes})
    elif not console.quiet:
        sizes_text = f"{format_size(made.size)} virtual, {format_size(made.allocated)} on disk"
        console.line(f"+ {made.target}: {made.format}, {sizes_text}")
    return 0


def _plan(args: argparse.Namespace, console: Console) -> int:
    """One line. The source is opened, so that what would be refused is refused now."""
    from virtkit import disk
    from virtkit.core.plan import Plan
    from virtkit.disk import catalog
    from virtkit.disk.actions import Convert

    kind = args.target_format or catalog.from_suffix(args.target)
    catalog.load_writable(kind)
    with disk.open(
        args.source, args.source_format, allow_backing=args.allow_backing, trust_format=args.trust_format
    ) as chain:
        found = chain.format
    if os.path.exists(args.target) and not args.overwrite:
        raise UsageError(f"{args.target}: exists already", hint="another name, or --overwrite")
    source, target = os.path.abspath(args.source), os.path.abspath(args.target)
    step = Convert(source, target, found, kind, allow_backing=args.allow_backing)
    console.plan(Plan(f"convert {args.source}", (step,)))
    return PLAN_HAS_CHANGES


def _parse_options(words: list[str]) -> dict[str, str]:
    parsed = {}
    for pair in (pair for word in words for pair in word.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"-o: option is {pair!r}, expected NAME=VALUE", hint="-o cluster_size=64K")
        parsed[name] = value
    return parsed


def _build_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("left", metavar="FILE1")
    parser.add_argument("right", metavar="FILE2")
    _source(parser)
    parser.add_argument("-F", dest="right_format", metavar="FORMAT", help="format of FILE2")
    parser.add_argument("-s", dest="strict", action="store_true", help="sizes and allocation must be the same too")
    parser.add_argument("-p", dest="progress", action="store_true", help="as qemu-img's; progress is shown anyway")
    _backing(parser)
    options.output(parser)
    parser.set_defaults(run=_compare)


def _compare(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    try:
        with console.progress() as report:
            found = disk.compare(
                args.left,
                args.right,
                left_format=args.source_format,
                right_format=args.right_format,
                strict=args.strict,
                allow_backing=args.allow_backing,
                trust_format=args.trust_format,
                report=report,
            )
    except VirtkitError as error:
        console.error(error)
        return COULD_NOT_COMPARE
    identical = found.same_content and (not args.strict or (found.same_size and found.status_offset is None))
    if console.json:
        console.data({"identical": identical, **found._asdict()})
        return 0 if identical else DIFFERENT
    if not found.same_size:
        console.line("Strict mode: Image size mismatch!" if args.strict else "Warning: Image size mismatch!")
    if found.status_offset is not None:
        console.line(f"Strict mode: Offset {found.status_offset} block status mismatch!")
    elif found.offset is not None:
        console.line(f"Content mismatch at offset {found.offset}!")
    elif identical and not console.quiet:
        console.line("Images are identical.")
    return 0 if identical else DIFFERENT


def _build_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    _source(parser)
    options.output(parser)
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    try:
        name, findings = disk.check(args.file, args.source_format, trust_format=args.trust_format)
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
        "check-errors": 0,
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


def _build_formats(parser: argparse.ArgumentParser) -> None:
    options.output(parser)
    parser.set_defaults(run=_formats)


def _formats(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk
    from virtkit.disk.format import CheckableFormat, WritableFormat

    known = disk.known_formats()
    rows = [
        (name, kind.title, kind.suffixes, isinstance(kind, WritableFormat), isinstance(kind, CheckableFormat))
        for name, kind in known.items()
    ]
    if console.json:
        keys = ("name", "title", "suffixes", "writable", "checkable")
        console.data([dict(zip(keys, row, strict=True)) for row in rows])
        return 0
    marks = {True: "yes", False: "-"}
    console.table(
        ("format", "what it is", "suffixes", "write", "check"),
        [
            (name, title, " ".join(suffixes), marks[writes], marks[checks])
            for name, title, suffixes, writes, checks in rows
        ],
    )
    return 0
