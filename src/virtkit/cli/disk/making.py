"""Arguments of verbs that make images: format, options, encryption."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli.disk import arguments
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json

_COMMA = "\0"  # stands for qemu-img's ",,", a comma within a value


def options(parser: Arguments) -> None:
    parser.add_argument(
        "-o",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE[,...]",
        help="options of the new image; help lists those of its format",
    )


def encryption(parser: Arguments) -> None:
    parser.add_argument("--encrypt", choices=("luks", "aes"), help="short for -o encrypt.format=...")
    parser.add_argument(
        "--new-key-file", metavar="FILE", help="the new image's passphrase is the content of FILE; - asks for it"
    )


def parsed(args: argparse.Namespace) -> dict[str, str]:
    """What ``-o`` and ``--encrypt`` say. A name without a value is on, as for qemu-img."""
    found: dict[str, str] = {}
    for word in args.options:
        for pair in word.replace(",,", _COMMA).split(","):
            name, equals, value = pair.replace(_COMMA, ",").partition("=")
            if not name:
                raise UsageError(f"-o: option is {word!r}, expected NAME=VALUE", hint="-o cluster_size=64K")
            found[name] = value if equals else "on"
    if getattr(args, "encrypt", None):
        found["encrypt.format"] = args.encrypt
    return found


def secret(args: argparse.Namespace, chosen: dict[str, str]) -> bytes | None:
    """The passphrase of the new image; UsageError where encryption is asked for without one."""
    from virtkit.disk.conversion import order

    if args.new_key_file is None and order.is_encrypted(chosen):
        raise UsageError("the new image is encrypted, and its passphrase is not said", hint="--new-key-file FILE")
    return new_secret(args.new_key_file)


def new_secret(key_file: str | None) -> bytes | None:
    """Asked for twice: a slip of the finger would lose the disk. UsageError where they differ, or for an empty one."""
    found = arguments.secret(key_file)
    if found == b"":
        raise UsageError("the new passphrase is empty, expected one that keeps others out", hint="--new-key-file FILE")
    if key_file == "-" and arguments.asked("the same again: ") != found:
        raise UsageError("the two passphrases differ", hint="type the same one twice, or --new-key-file FILE")
    return found


def asks_for_help(args: argparse.Namespace) -> bool:
    return any(pair in {"help", "?"} for word in args.options for pair in word.split(","))


def show_options(name: str, console: Console) -> int:
    """``-o help``: the options of a format."""
    from virtkit.disk import catalog

    found = catalog.load_writable(name).options
    if console.json:
        rows: list[Json] = [{"name": one.name, "about": one.about, "default": one.default} for one in found]
        console.data(rows)
    elif not found:
        console.line(f"{name} has no options")
    else:
        console.table(("option", "default", "what it is"), [(one.name, one.default or "-", one.about) for one in found])
    return 0
