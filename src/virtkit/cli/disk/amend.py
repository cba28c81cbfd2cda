"""``disk amend``: other options for an existing image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, making
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?")
    parser.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE[,...]",
        help="what shall change; help lists what can",
    )
    arguments.source(parser)
    parser.add_argument("--new-key-file", metavar="FILE", help="of encrypt.state=active: the passphrase that is added")
    parser.add_argument("--old-key-file", metavar="FILE", help="of encrypt.state=inactive: the passphrase that goes")
    parser.add_argument("-p", dest="progress", action="store_true", help="as qemu-img's; progress is shown anyway")
    options.change(parser)
    parser.set_defaults(run=_amend)


def _amend(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    if making.asks_for_help(args):
        return _show_options(args.source_format or "qcow2", console)
    if args.file is None:
        raise arguments.missing("amend", "FILE")
    chosen = making.parsed(args)
    if not chosen:
        raise UsageError("amend: what shall change is not said", hint="virtkit disk amend -o help")
    done = disk.amend(
        args.file,
        chosen,
        args.source_format,
        dry_run=args.plan,
        old_secret=arguments.secret(args.old_key_file),
        new_secret=making.new_secret(args.new_key_file),
        access=arguments.access(args),
    )
    proposal = consent.Proposal(f"amend {args.file}", tuple(consent.Step("~", change) for change in done.changes))
    if args.plan:
        return consent.settle(proposal, args, console, ask=False) or 0
    if console.json:
        console.data(proposal.data())
    elif not console.quiet:
        console.line(f"✓ {args.file}: {', '.join(done.changes) or 'nothing to change'}")
    return 0


def _show_options(name: str, console: Console) -> int:
    from virtkit.disk import catalog
    from virtkit.disk.format import AmendableFormat

    kind = catalog.load(name)
    found = kind.amendable if isinstance(kind, AmendableFormat) else ()
    if console.json:
        console.data([{"name": one.name, "about": one.about} for one in found])
    elif not found:
        console.line(f"{name} has no options that could be changed")
    else:
        console.table(("option", "what it is"), [(one.name, one.about) for one in found])
    return 0
