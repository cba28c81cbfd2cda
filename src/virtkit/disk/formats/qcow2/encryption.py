"""Encrypted qcow2 images: which sector number a cipher is told, and where the LUKS header is.

Legacy AES counts the sectors of the guest's disk, LUKS those of the file (QEMU, block/qcow2-cluster.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ImageError, NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Decode
    from virtkit.disk.formats.qcow2.head import Head


class Lock(NamedTuple):
    decrypt: Decode
    encrypt: Callable[[int, int, Buffer], Buffer]


def unlock(file: File, head: Head, secret: bytes | None) -> Lock | None:
    """None: the image is not encrypted. ImageError without a secret, or with a wrong one."""
    if not head.encryption:
        return None
    if secret is None:
        raise ImageError(f"{file.name}: is encrypted ({head.encryption}), and no key was given", hint="--key-file FILE")
    raise NotSupportedError(f"{file.name}: is encrypted ({head.encryption}), which virtkit cannot read")
