"""Flags that many commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def output(parser: argparse.ArgumentParser) -> None:
    """``--output human|json``, ``-q``, ``-v``: every command has them."""
    parser.add_argument("--output", choices=("human", "json"), default="human", help="human (default) or json")
    parser.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")
    parser.add_argument("-v", "--verbose", action="store_true", help="print more of what is done and why")


def change(parser: argparse.ArgumentParser) -> None:
    """``--plan`` and ``-y``: every command that changes something has them."""
    output(parser)
    parser.add_argument(
        "--plan",
        "--dry-run",
        action="store_true",
        help="show what would change and stop: exit status 3, or 0 if nothing",
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
