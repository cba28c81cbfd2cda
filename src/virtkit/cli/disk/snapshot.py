"""``disk snapshot``: internal snapshots, by qemu-img's flags or by words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, refused, several
from virtkit.core.errors import UsageError
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.disk.access import Access
    from virtkit.disk.format import Snapshot

_USAGE = """\
virtkit disk snapshot FILE
       virtkit disk snapshot list FILE ...
       virtkit disk snapshot create|apply|delete FILE NAME
       virtkit disk snapshot extract FILE NAME TARGET [-O FORMAT] [-o NAME=VALUE[,...]]
       virtkit disk snapshot -l | -c NAME | -a NAME | -d NAME  FILE ..."""
_WORDS = {"create": 2, "apply": 2, "delete": 2, "extract": 3}  # what follows each


class _Wish(NamedTuple):
    """What is wanted of one image."""

    verb: str
    file: str
    name: str = ""  # or id
    target: str = ""
    several: bool = False  # other images are asked the same


def build(parser: Arguments) -> None:
    from virtkit.cli.disk import making

    parser.usage = _USAGE
    parser.add_argument("words", nargs="*", metavar="WORD", help="list, create, apply, delete or extract; FILE; NAME")
    parser.mixed = True
    flags = parser.add_mutually_exclusive_group()
    flags.add_argument("-l", dest="list", action="store_true", help="list them, as does FILE alone")
    flags.add_argument("-c", dest="create", metavar="NAME", help="keep the disk as it is now")
    flags.add_argument("-a", dest="apply", metavar="NAME", help="go back to it; what was written since is lost")
    flags.add_argument("-d", dest="delete", metavar="NAME", help="forget it")
    parser.add_argument("-O", dest="target_format", metavar="FORMAT", help="of TARGET; else its suffix says")
    making.options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace TARGET if it exists")
    arguments.source(parser)
    arguments.progress(parser)
    arguments.backing(parser)
    options.change(parser)
    refused.flags(parser, ("--image-opts", "--object"))
    parser.set_defaults(run=_snapshot)


def _snapshot(args: argparse.Namespace, console: Console) -> int:
    wish, files = _wish(args)
    verbs = {"list": _list, "create": _create, "apply": _apply, "delete": _delete, "extract": _extract}
    access = arguments.access(args)

    def one(path: str) -> int:
        return verbs[wish.verb](wish._replace(file=path), args, access, console)

    return several.each(files, one, console, apart=wish.verb == "list")


def _wish(args: argparse.Namespace) -> tuple[_Wish, list[str]]:
    """For the first image, and all images."""
    words: list[str] = args.words
    for verb in ("create", "apply", "delete"):
        if (name := getattr(args, verb)) is not None and words:
            return _Wish(verb, words[0], name, several=len(words) > 1), words
    if len(words) > 1 and words[0] == "list" and not args.list:
        words = words[1:]
    elif len(words) > 1 and _WORDS.get(words[0]) == len(words) - 1 and not args.list:
        return _Wish(words[0], words[1], words[2], "".join(words[3:])), words[1:2]
    elif len(words) != 1 and not (words and args.list):
        said = " ".join(words) or "nothing"
        hint = "virtkit disk snapshot --help"
        raise UsageError(f"snapshot: found {said}, expected one of\n       {_USAGE}", hint=hint)
    return _Wish("list", words[0], several=len(words) > 1), words


def _list(wish: _Wish, args: argparse.Namespace, access: Access, console: Console) -> int:
    from virtkit import disk
    from virtkit.cli.disk import moments

    disk.snapshots(wish.file, args.source_format, access)  # refuses what has none
    found = disk.info(wish.file, args.source_format, access).facts.snapshots
    if console.json:
        console.data([dict(one) for one in found])  # type: ignore[arg-type]  # Facts promises qemu-img's data
    elif found:
        if wish.several:
            console.line(f"{wish.file}:")
        for line in moments.lines(found):
            console.line(line)
    elif not console.quiet:
        console.line(f"{wish.file}: no snapshots")
    return 0


def _create(wish: _Wish, args: argparse.Namespace, access: Access, console: Console) -> int:
    from virtkit import disk

    made = disk.create_snapshot(wish.file, wish.name, args.source_format, access, dry_run=args.plan)
    if args.plan:
        return _planned(wish, args, console, consent.Step("+", f"{wish.file}: snapshot {wish.name}"))
    return _done(wish, made, console, f"+ {wish.file}: snapshot {made.name} (id {made.id})")


def _apply(wish: _Wish, args: argparse.Namespace, access: Access, console: Console) -> int:
    from virtkit import disk

    found = disk.find_snapshot(wish.file, wish.name, args.source_format, access)
    text = f"{wish.file}: as in snapshot {found.name} (id {found.id}), {format_size(found.size)}"
    note = "what the disk holds now is lost where no snapshot has it"
    proposal = consent.Proposal(f"apply snapshot {found.name}", (consent.Step("~", text),), (note,))
    status = consent.settle(proposal, args, console, ask=True)
    if status is not None:
        return status
    done = disk.apply_snapshot(wish.file, found.id, args.source_format, access)
    return _done(wish, done, console, f"✓ {text}")


def _delete(wish: _Wish, args: argparse.Namespace, access: Access, console: Console) -> int:
    from virtkit import disk

    found = disk.find_snapshot(wish.file, wish.name, args.source_format, access)
    freed = disk.freed_by_deleting(wish.file, found.id, args.source_format, access) if args.plan else None
    text = f"{wish.file}: snapshot {found.name} (id {found.id}) deleted"
    gain = "" if freed is None else f"; {format_size(freed)} of the file become free"
    proposal = consent.Proposal(f"delete snapshot {found.name}", (consent.Step("-", text + gain),))
    status = consent.settle(proposal, args, console, ask=True)
    if status is not None:
        return status
    done = disk.delete_snapshot(wish.file, found.id, args.source_format, access)
    return _done(wish, done, console, f"✓ {text}")


def _extract(wish: _Wish, args: argparse.Namespace, access: Access, console: Console) -> int:
    from virtkit import disk
    from virtkit.cli.disk import making

    with console.transfer(asked=args.progress) as report:
        made = disk.convert(
            wish.file,
            wish.target,
            snapshot=wish.name,
            source_format=args.source_format,
            target_format=args.target_format,
            options=making.parsed(args),
            overwrite=args.overwrite,
            dry_run=args.plan,
            access=access,
            report=report,
        )
    text = f"{wish.target}: {made.format}, snapshot {wish.name} of {wish.file}, {format_size(made.size)}"
    if args.plan:
        return _planned(wish, args, console, consent.Step("+", text))
    if console.json:
        sizes = {"virtual-size": made.size, "actual-size": made.allocated}
        console.data({"filename": made.target, "format": made.format, **sizes})
    elif not console.quiet:
        console.line(f"+ {text}")
    return 0


def _planned(wish: _Wish, args: argparse.Namespace, console: Console, step: consent.Step) -> int:
    proposal = consent.Proposal(f"snapshot {wish.verb} {wish.name}", (step,))
    return consent.settle(proposal, args, console, ask=False) or 0


def _done(wish: _Wish, found: Snapshot, console: Console, text: str) -> int:
    if console.json:
        console.data({"filename": wish.file, "verb": wish.verb, **found._asdict()})
    elif not console.quiet:
        console.line(text)
    return 0
