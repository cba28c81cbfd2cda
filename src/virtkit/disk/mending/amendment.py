"""Options of an existing image changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.core.progress import Event, Note, Sink, silent
from virtkit.disk import catalog
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.file import File
from virtkit.disk.format import AmendableFormat
from virtkit.disk.mending.rehearsal import Rehearsal

if TYPE_CHECKING:
    from collections.abc import Mapping


class Amended(NamedTuple):
    format: str
    changes: tuple[str, ...]  # in words


def amend(
    path: str,
    options: Mapping[str, str],
    source_format: str | None = None,
    *,
    dry_run: bool = False,
    old_secret: bytes | None = None,
    new_secret: bytes | None = None,
    access: Access = READ_ONLY,
    report: Sink = silent,
) -> Amended:
    """Change options of the image; ``dry_run`` does it in memory alone.

    The secrets are those of ``encrypt.state=active`` and ``inactive``. UsageError for values that are none,
    NotSupportedError for what cannot be changed, in this image or at all.
    """
    file = File.open(path, writable=not dry_run, shared=access.shared and dry_run)
    if dry_run:
        file = Rehearsal(file.fd, file.name)
    try:
        name = catalog.choose(file, source_format, trust_format=access.trust_format)
        kind = catalog.load(name)
        if not isinstance(kind, AmendableFormat):
            raise NotSupportedError(f"{path}: format {name} has no options that could be changed")
        image = kind.open(file, access._replace(writable=True))
    except BaseException:
        file.close()
        raise
    changes: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Note):
            changes.append(event.text)
        report(event)

    try:
        kind.amend(image, {**options, **_secrets(old_secret, new_secret)}, hear)
    finally:
        image.close()
    return Amended(name, tuple(changes))


def _secrets(old: bytes | None, new: bytes | None) -> dict[str, str]:
    found = {"encrypt.old-secret": old, "encrypt.new-secret": new}
    return {name: secret.decode(errors="surrogateescape") for name, secret in found.items() if secret is not None}
