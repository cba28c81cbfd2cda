"""Flags of qemu-img that virtkit does not have: each says why, and what to type instead."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from virtkit.cli.options import Arguments

REASONS = {
    "--image-opts": ("images are files and block devices here, not graphs of QEMU's drivers", "-f FORMAT FILE"),
    "--target-image-opts": ("images are files and block devices here, not graphs of QEMU's drivers", "-n -O FORMAT"),
    "--object": ("a passphrase is read from a file, where no list of processes shows it", "--key-file FILE"),
}


def flags(parser: Arguments, names: Sequence[str]) -> None:
    for name in names:
        parser.add_argument(name, type=_refusal(name), nargs="?", const="", help=argparse.SUPPRESS)


def _refusal(name: str) -> Callable[[str], NoReturn]:
    def refuse(_value: str) -> NoReturn:
        reason, hint = REASONS[name]
        raise UsageError(f"{name}: {reason}", hint=hint)

    return refuse
