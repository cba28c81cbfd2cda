"""Which tests may run side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

ALONE = ("guest", "recipes", "vm")  # folders whose tests share the machine's libvirt and its demo: one after the other
PLAIN = {"test_lvm.py", "test_power_cut.py", "test_stacks.py"}  # QEMU of their own


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``--dist loadgroup`` one worker gets all tests of a group."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder in ALONE and item.path.name not in PLAIN:
            item.add_marker(pytest.mark.xdist_group("libvirt"))
