"""``--profile``, ``--machine``, ``--untrusted``: what the host is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.host.advice.case import Profile
    from virtkit.recipes.advice.diagnosis import Question

PROFILES = ("web", "database", "realtime", "desktop", "build")


def add(parser: Arguments) -> None:
    parser.add_argument("--profile", choices=PROFILES, help="what its machines are for, but those that --machine names")
    parser.add_argument(
        "--machine",
        metavar="NAME=PROFILE",
        action="append",
        default=[],
        help="what this machine is for; may be given several times",
    )
    parser.add_argument(
        "--untrusted", action="store_true", help="machines belong to people who do not trust each other"
    )


def asked(args: argparse.Namespace) -> Question:
    """UsageError."""
    from virtkit.host.advice.case import Profile
    from virtkit.recipes.advice.diagnosis import Question

    profile = Profile(args.profile) if args.profile else None
    return Question(profile, dict(map(_machine, args.machine)), args.untrusted)


def words(args: argparse.Namespace) -> str:
    """The same once more, for a command to type."""
    parts = [f"--profile {args.profile}"] if args.profile else []
    parts += [f"--machine {word}" for word in args.machine]
    return "".join(f" {part}" for part in [*parts, *(["--untrusted"] if args.untrusted else [])])


def _machine(word: str) -> tuple[str, Profile]:
    from virtkit.core.errors import UsageError
    from virtkit.host.advice.case import Profile

    name, sign, profile = word.rpartition("=")
    if not (name and sign and profile in PROFILES):
        raise UsageError(f"--machine {word}: expected NAME=PROFILE, profiles are {', '.join(PROFILES)}")
    return name, Profile(profile)
