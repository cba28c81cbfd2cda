"""What an image says of another file."""

from __future__ import annotations

from typing import NamedTuple


class Reference(NamedTuple):
    """Another file that an image names. Nothing is opened before ``disk/gate.py`` agrees."""

    name: str  # as written in the image
    format: str | None  # as written in the image; None: the image does not say
    can_be_said: bool = True  # False: the image's format has no room for it; without a signature it is taken as raw
