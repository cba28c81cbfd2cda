from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netns import house
from netns import lab as labs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A layer for the hosts' roots, with what is not installed here."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    place = tmp_path_factory.mktemp("daemons") / "layer"
    try:
        yield house.layer(place)
    finally:
        house.remove(place)


@pytest.fixture
def lab(tmp_path: Path, daemons: Path) -> Iterator[labs.Lab]:
    """A host with one address of each family, wired to its gateway."""
    place = tmp_path / "house"
    try:
        root = house.build(place, daemons, [tmp_path])
        made = labs.Lab(f"vk{os.getpid()}-host", f"vk{os.getpid()}-gateway", tmp_path / "state", root)
        labs.remove(made)
        labs.build(made)
        yield made
        labs.remove(made)
    finally:
        house.remove(place)


@pytest.fixture
def furnished(lab: labs.Lab) -> labs.Lab:
    """The same host with everything on its link that a careless move loses."""
    labs.furnish(lab)
    labs.settle(lab)
    return lab
