"""Flags of qemu-img that virtkit does not have: each says why, and what to type instead."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

REASONS = {
    "--image-opts": ("images are files and block devices here, not graphs of QEMU's drivers", "-f FORMAT FILE"),
    "--target-image-opts": ("images are files and block devices here, not graphs of QEMU's drivers", "-n -O FORMAT"),
    "--object": ("a passphrase is read from a file, where no list of processes shows it", "--key-file FILE"),
}


class Refuse(argparse.Action):
    def __call__(self, parser: object, namespace: object, values: object, option: str | None = None) -> NoReturn:
        reason, hint = REASONS[str(option)]
        raise UsageError(f"{option}: {reason}", hint=hint)


def flags(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    for name in names:
        parser.add_argument(name, action=Refuse, nargs="?", help=argparse.SUPPRESS)
