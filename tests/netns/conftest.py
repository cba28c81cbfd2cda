from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netns import lab as labs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[labs.Lab]:
    """A host with one address of each family, wired to its gateway."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made = labs.Lab(f"vk{os.getpid()}-host", f"vk{os.getpid()}-gateway", tmp_path / "state")
    labs.remove(made)
    try:
        labs.build(made)
        yield made
    finally:
        labs.remove(made)


@pytest.fixture
def furnished(lab: labs.Lab) -> labs.Lab:
    """The same host with everything on its link that a careless move loses."""
    labs.furnish(lab)
    labs.settle(lab)
    return lab
