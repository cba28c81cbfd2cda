"""Arguments that verbs on images share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError, UsageError

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.disk.access import Access

SECRET_SIZE = 1 << 20  # bytes of a passphrase that are read at most


def source(parser: Arguments) -> None:
    parser.add_argument("-f", dest="source_format", metavar="FORMAT", help="format of the image; raw must be said")
    parser.add_argument(
        "--trust-format", action="store_true", help="believe -f although the image carries another signature"
    )
    parser.add_argument(
        "-U",
        "--force-share",
        dest="shared",
        action="store_true",
        help="open it although a running machine may write to it",
    )
    old_secret(parser)


def old_secret(parser: Arguments) -> None:
    parser.add_argument(
        "--key-file", metavar="FILE", help="the passphrase of an encrypted image is the content of FILE; - asks for it"
    )


def progress(parser: Arguments) -> None:
    parser.add_argument(
        "-p",
        dest="progress",
        action="store_true",
        help="lines of progress without a terminal, too; SIGUSR1 asks for one",
    )


def backing(parser: Arguments) -> None:
    parser.add_argument(
        "--allow-backing",
        action="store_true",
        help="open backing files outside of the image's directory; for images whose maker you trust",
    )
    parser.add_argument("--parent", metavar="FILE", help="the backing image, in place of what the image says")


def access(args: argparse.Namespace) -> Access:
    """What the arguments of ``source`` and ``backing`` say; asks for the passphrase where that is wanted."""
    from virtkit.disk.access import Access

    return Access(
        allow_backing=getattr(args, "allow_backing", False),
        trust_format=getattr(args, "trust_format", False),
        shared=getattr(args, "shared", False),
        secret=secret(args.key_file),
        parent=getattr(args, "parent", None),
    )


def missing(verb: str, what: str) -> UsageError:
    return UsageError(f"the following arguments are required: {what}", hint=f"virtkit disk {verb} --help")


def secret(key_file: str | None) -> bytes | None:
    """The bytes of the file as they are, a newline at its end included, as qemu-img's secret objects have it."""
    if key_file is None:
        return None
    if key_file == "-":
        return asked("passphrase: ")
    try:
        with open(key_file, "rb") as file:
            return file.read(SECRET_SIZE)
    except OSError as error:
        raise SystemCallError(f"read {key_file}", error) from error


def asked(prompt: str) -> bytes:
    """UsageError where nobody can be asked."""
    from getpass import getpass

    try:
        return getpass(prompt).encode()
    except EOFError as error:
        raise UsageError(
            "no terminal to ask for the passphrase on", hint="--key-file FILE, --new-key-file FILE"
        ) from error
