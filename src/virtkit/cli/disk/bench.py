"""``disk bench``: how many requests an image answers in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, refused
from virtkit.core.errors import UsageError
from virtkit.core.units import MIB, format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.benchmark import Latencies, Load, Timed

_SHARES = (0.5, 0.9, 0.99, 0.999)


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    _numbers(
        parser,
        ("-c", "count", 75_000, "N", "requests (75000)"),
        ("-d", "depth", 1, "N", "requests at once, each in a thread (1)"),
        ("-s", "size", 4096, "SIZE", "bytes of a request (4K)"),
        ("-o", "offset", 0, "SIZE", "where the first one starts (0)"),
        ("-S", "step", 0, "SIZE", "from one start to the next; else the size"),
        ("--pattern", "pattern", 0, "N", "the byte that is written (0)"),
        ("--flush-interval", "flush_interval", 0, "N", "with -w: flush every N requests"),
    )
    parser.add_argument("--random", action="store_true", help="anywhere on the disk, at multiples of the size")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of --random: other places (0)")
    parser.add_argument("-w", dest="write", action="store_true", help="write: what the disk holds there is lost")
    parser.add_argument("--no-drain", action="store_true", help="requests go on while a flush is under way")
    arguments.source(parser)
    refused.flags(parser, ("--image-opts", "--object"))
    arguments.backing(parser)
    options.change(parser)
    parser.set_defaults(run=_bench)


def _numbers(parser: Arguments, *known: tuple[str, str, int, str, str]) -> None:
    for flag, name, default, metavar, about in known:
        parser.add_argument(flag, dest=name, type=parse_size, default=default, metavar=metavar, help=about)


def _bench(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    load = _load(args)
    if (status := _settled(args, load, console)) is not None:
        return status
    if not console.json and not console.quiet:
        for line in _announced(load):
            console.line(line)
        console.flush()
    timed = disk.bench(args.file, load, args.source_format, arguments.access(args))
    if console.json:
        console.data(_data(args.file, load, timed))
    else:
        for line in _lines(load, timed):
            console.line(line)
    return 0


def _load(args: argparse.Namespace) -> Load:
    from virtkit.disk.benchmark import Load

    if args.random and (args.step or args.offset):
        raise UsageError("--random is anywhere, and -o or -S say where", hint="one of both")
    return Load(
        requests=args.count,
        size=args.size,
        step=args.step,
        offset=args.offset,
        depth=args.depth,
        write=args.write,
        pattern=args.pattern,
        flush_interval=args.flush_interval,
        drain=not args.no_drain,
        seed=args.seed if args.random else None,
    )


def _settled(args: argparse.Namespace, load: Load, console: Console) -> int | None:
    if not load.write:
        return consent.settle(consent.Proposal(f"bench {args.file}", ()), args, console, ask=False)
    where = "anywhere" if args.random else f"from byte {load.offset} on"
    lost = f"{load.requests} writes of {format_size(load.size)} {where}; what the disk holds there is lost"
    step = consent.Step("~", f"{args.file}: {lost}")
    return consent.settle(consent.Proposal(f"bench {args.file}", (step,)), args, console, ask=True)


def _announced(load: Load) -> list[str]:
    """qemu-img's lines."""
    kind = "write" if load.write else "read"
    place = f"starting at offset {load.offset}, step size {load.step or load.size}"
    if load.seed is not None:
        place = f"at random, seed {load.seed}"
    lines = [f"Sending {load.requests} {kind} requests, {load.size} bytes each, {load.depth} in parallel ({place})"]
    if load.flush_interval:
        lines.append(f"Sending flush every {load.flush_interval} requests")
    return lines


def _lines(load: Load, timed: Timed) -> list[str]:
    rate = load.requests / timed.seconds
    spent = timed.latencies
    shares = ", ".join(f"{share * 100:g} % {_time(spent.percentile(share))}" for share in _SHARES)
    return [
        f"Run completed in {timed.seconds:.3f} seconds.",
        f"{rate:.0f} requests/s, {rate * load.size / MIB:.1f} MiB/s",
        f"latency: mean {_time(spent.mean)}, {shares}, longest {_time(spent.longest)}",
    ]


def _time(nanoseconds: float) -> str:
    if nanoseconds < 1e6:  # noqa: PLR2004  a millisecond
        return f"{nanoseconds / 1e3:.3g} us"
    return f"{nanoseconds / 1e6:.4g} ms"


def _data(path: str, load: Load, timed: Timed) -> dict[str, Json]:
    """Times in seconds, sizes in bytes."""
    return {
        "filename": path,
        "format": timed.format,
        "virtual-size": timed.size,
        "count": load.requests,
        "depth": load.depth,
        "buffer-size": load.size,
        "step-size": None if load.seed is not None else load.step or load.size,
        "offset": None if load.seed is not None else load.offset,
        "seed": load.seed,
        "write": load.write,
        "pattern": load.pattern if load.write else None,
        "flush-interval": load.flush_interval,
        "drain": load.drain,
        "flushes": timed.flushes,
        "seconds": timed.seconds,
        "requests-per-second": load.requests / timed.seconds,
        "bytes-per-second": load.requests * load.size / timed.seconds,
        "latency": _latency(timed.latencies),
    }


def _latency(spent: Latencies) -> dict[str, Json]:
    shares: dict[str, Json] = {f"{share * 100:g}%": spent.percentile(share) / 1e9 for share in _SHARES}
    return {"mean": spent.mean / 1e9, **shares, "longest": spent.longest / 1e9}
