"""Files that others wrote, of the daemons' packages and of ``shared/data``: bridged or refused, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netns import house
from support import others
from virtkit.core.errors import VirtkitError
from virtkit.net.backend import Wish
from virtkit.net.backends.ifupdown import bridging
from virtkit.net.backends.ifupdown.syntax import Document, read
from virtkit.net.backends.ifupdown.tree import MAIN, Tree
from virtkit.net.backends.networkd import render
from virtkit.net.naming import renamed
from virtkit.net.networkd import unitfile
from virtkit.net.networkd.found import PLACE, NetworkFile
from virtkit.net.standing import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

MAC = "52:54:00:aa:00:11"
EXAMPLES = "usr/share/doc/{}/examples"


def _written(name: str, *folders: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each file."""
    places = filter(None, (*folders, others.find(name)))
    for path in filter(Path.is_file, (path for place in places for path in sorted(place.rglob("*")))):
        yield path.name, path.read_bytes().decode("utf-8", "surrogateescape")


def _options(text: str) -> Counter[str]:
    stanzas = Document(MAIN, read(text)).stanzas()
    return Counter(" ".join(line.words) for stanza in stanzas for _, line in stanza.options)


def _tree(text: str) -> Tree:
    return Tree({MAIN: Document(MAIN, read(text))}, text)


def test_every_option_of_interfaces_files_is_there_after_the_move_and_the_same_after_the_way_back() -> None:
    debian = house.daemons() / EXAMPLES.format("ifupdown")
    proxmox = house.package("ifupdown2") / EXAMPLES.format("ifupdown2")
    bridged = 0
    for name, text in _written("eni", debian, proxmox):
        assert "".join(line.raw for line in read(text)) == text
        for link in sorted({stanza.name for stanza in Document(MAIN, read(text)).stanzas()} - {"lo"}):
            wish = Wish("brX", link, MAC, 1500, Side(link))
            try:
                new = bridging.bridged(_tree(text), wish, bridging.IFUPDOWN2)[MAIN]
                back = bridging.released(_tree(new), "brX", link)[MAIN]
            except VirtkitError:
                continue
            bridged += 1
            found = _options(new)
            lost = [option for option in _options(text) if not found[option] + found[renamed(option, link, "brX")]]
            assert (name, link, lost) == (name, link, [])
            assert (name, link, _options(back)) == (name, link, _options(text))
    assert bridged > 10


def test_every_line_of_network_files_is_there_for_the_bridge_or_its_port() -> None:
    bridged = 0
    for name, text in _written("networkd", Path("/usr/lib/systemd/network")):
        source = NetworkFile(f"{PLACE}/{name.removesuffix('.example')}", text)
        if not source.name.endswith(".network"):
            continue
        bridged += 1
        made = render.files(Wish("brX", "eth0", MAC, 1500, Side("eth0")), source, "10-virtkit-", None, alone=False)
        said = {entry[1:] for file in made for entry in unitfile.parse(file.text or "")}
        lines = (entry for entry in source.entries if entry.key and entry.section != "Match")
        assert (name, [entry for entry in lines if entry[1:] not in said]) == (name, [])
    assert bridged > 5
