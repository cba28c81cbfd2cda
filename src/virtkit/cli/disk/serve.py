"""``disk serve``: an image as a network block device, for this host's programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.core.errors import UsageError
from virtkit.core.progress import Event, Note
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.disk.nbd.address import Address
    from virtkit.disk.nbd.server import Server


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    arguments.source(parser)
    arguments.backing(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", metavar="PATH", help="listen on a Unix socket, for this user alone; the default")
    where.add_argument("--port", type=int, metavar="N", help="listen on a TCP port of this host; 10809 is usual")
    parser.add_argument("--bind", metavar="ADDRESS", help="of --port; the default is 127.0.0.1")
    parser.add_argument("--insecure", action="store_true", help="let --bind be an address that other hosts reach")
    parser.add_argument("--write", action="store_true", help="let clients write to the image")
    parser.add_argument("--discard", action="store_true", help="with --write: clients may give room back")
    parser.add_argument("--export", default="", metavar="NAME", help="name of the export; without, the empty name")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--once", action="store_true", help="end when the last client has gone")
    how_long.add_argument("--persistent", action="store_true", help="serve until Ctrl-C or SIGTERM; the default")
    options.output(parser)
    parser.set_defaults(run=_serve)


def _serve(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk
    from virtkit.disk.export import Export
    from virtkit.disk.nbd.handshake import Offer
    from virtkit.disk.nbd.server import Server

    def report(event: Event) -> None:
        if isinstance(event, Note):
            console.note(event.text)

    def tell() -> None:
        if console.json:
            console.data(
                {"uri": server.uri, "format": chain.format, "virtual-size": chain.size, "writable": args.write}
            )
        else:
            how = "writable" if args.write else "read-only"
            console.line(f"+ {args.file}: {chain.format}, {format_size(chain.size)}, {how}: {server.uri}")
        console.flush()

    address, name = _address(args), _export_name(args.export)
    with disk.open(args.file, "r+" if args.write else "r", args.source_format, arguments.access(args)) as chain:
        server = Server(Offer(Export(chain), name, args.discard), address, report, once=args.once)
        _end_on_signals(server)
        server.run(tell)
    return 0


def _address(args: argparse.Namespace) -> Address:
    from virtkit.disk.nbd.address import UnixAddress, tcp
    from virtkit.disk.nbd.protocol import PORT

    if args.discard and not args.write:
        raise UsageError("--discard: gives room back, which needs --write")
    if args.bind and args.port is None:
        raise UsageError("--bind: is the address of a port, which needs --port", hint=f"--port {PORT}")
    if args.port is not None:
        return tcp(args.bind or "127.0.0.1", args.port, insecure=args.insecure)
    return UnixAddress(args.socket or _usual_socket(args.file))


def _export_name(words: str) -> str:
    """Names of exports are UTF-8; UsageError."""
    from virtkit.disk.nbd.protocol import LONGEST_STRING

    length = len(words.encode(errors="replace"))
    if any("\ud800" <= letter <= "\udfff" for letter in words) or length > LONGEST_STRING:
        raise UsageError(f"--export: name is {words!r}, expected UTF-8 of at most {LONGEST_STRING} bytes")
    return words


def _usual_socket(image: str) -> str:
    """In the directory that only this user writes to."""
    directory = os.environ.get("XDG_RUNTIME_DIR") or ("/run" if os.geteuid() == 0 else os.path.dirname(image))
    return os.path.join(directory, f"virtkit-{os.path.basename(image)}.sock")


def _end_on_signals(server: Server) -> None:
    """Ctrl-C, SIGTERM and a lost terminal: requests in hand are answered, everything is flushed."""
    import signal

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: server.stop())
