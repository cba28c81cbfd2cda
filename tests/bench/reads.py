"""``python -m bench.reads IMAGE COUNT SIZE STEP``: reads through the API where ``qemu-img bench`` reads."""

from __future__ import annotations

import sys

from virtkit import disk


def main(path: str, count: int, size: int, step: int) -> None:
    with disk.open(path) as image:
        end, at, read = image.size, 0, image.read
        for _ in range(count):
            read(at, size)
            at = (at + step) % end


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
