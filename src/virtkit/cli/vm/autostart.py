"""``virtkit vm autostart``: which machines start with the host, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.vm.startup.starting import Start


def build(parser: Arguments) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="name, UUID or number; left out: list them")
    parser.add_argument("state", metavar="on|off", nargs="?", choices=("on", "off"))
    parser.add_argument("--order", metavar="N", type=int, help="start after those with a lower one (0)")
    wait = parser.add_mutually_exclusive_group()
    wait.add_argument("--delay", metavar="SECONDS", type=int, default=0, help="the next one starts so much later")
    wait.add_argument(
        "--agent",
        metavar="SECONDS",
        type=int,
        default=0,
        help="or once the guest's agent answers, at most so much later",
    )
    parser.add_argument(
        "--run", dest="now", action="store_true", help="start those with an order, now, as the host does"
    )
    options.change(parser)
    parser.set_defaults(run=_autostart)


def _autostart(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.errors import UsageError

    if args.now and args.name is None:
        return _run(console)
    if args.name is None:
        return _list(console)
    if args.now or args.state is None:
        raise UsageError(f"{args.name}: is to start with the host or not, expected on or off", hint="... on --order 1")
    if args.state == "off" and (args.order is not None or args.delay or args.agent):
        raise UsageError(f"{args.name}: off has no order, expected none", hint=f"virtkit vm autostart {args.name} off")
    from virtkit import vm
    from virtkit.cli.change import carry_out

    plan = vm.autostart(args.name, enabled=args.state == "on", order=args.order, delay=args.delay, agent=args.agent)
    return carry_out(plan, args, console, ask=False)


def _list(console: Console) -> int:
    from virtkit import vm

    found = vm.autostarts()
    if console.json:
        console.data([dict(each._asdict()) for each in found])
    elif not found:
        console.line("no machine starts with the host")
    else:
        rows = [
            ("-" if each.order is None else str(each.order), each.name, each.by, _wait(each.delay, each.agent))
            for each in found
        ]
        console.table(("ORDER", "NAME", "STARTED BY", "THEN"), rows)
    return 0


def _wait(delay: int, agent: int) -> str:
    return f"agent, at most {agent} s" if agent else f"{delay} s" if delay else "-"


def _run(console: Console) -> int:
    """A line each, as it happens: the host's journal has the time."""
    from virtkit import vm

    done = []
    for each in vm.start_in_order():
        done.append(each)
        if not console.json:
            console.line(_line(each))
            console.flush()
    if console.json:
        console.data([dict(each._asdict()) for each in done])
    return 1 if any(each.fault for each in done) else 0


def _line(each: Start) -> str:
    if each.fault:
        return f"✗ {each.name} (order {each.order}): {each.fault}"
    told = "started" if each.started else "left alone"
    return f"✓ {each.name} (order {each.order}): {told}{f': {each.note}' if each.note else ''}"
