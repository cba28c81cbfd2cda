"""Arguments that verbs on images share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", dest="source_format", metavar="FORMAT", help="format of the image; raw must be said")
    parser.add_argument(
        "--trust-format", action="store_true", help="believe -f although the image carries another signature"
    )


def backing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-backing",
        action="store_true",
        help="open backing files outside of the image's directory; for images whose maker you trust",
    )
