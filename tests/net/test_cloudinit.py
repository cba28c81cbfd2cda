from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.system import System
from virtkit.net import cloudinit

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "/etc/cloud/cloud.cfg.d"


@pytest.mark.parametrize(
    ("path", "text", "writes"),
    [
        (f"{FOLDER}/99-disable-network-config.cfg", "network: {config: disabled}\n", False),
        (f"{FOLDER}/10-ours.cfg", "# ours\nnetwork:\n  config: 'disabled'\n", False),
        (f"{FOLDER}/10-ours.cfg.off", "network: {config: disabled}\n", True),
        (f"{FOLDER}/10-ours.cfg", "# network: {config: disabled}\nnetwork:\n  version: 2\n", True),
        ("/etc/cloud/cloud.cfg", "users: [default]\nnetwork:\n    config: disabled\n", False),
        ("/etc/cloud/cloud-init.disabled", "", False),
        ("/proc/cmdline", "quiet network-config=disabled\n", False),
        ("/proc/cmdline", "quiet\n", True),
    ],
)
def test_it_writes_unless_it_is_told_not_to(tmp_path: Path, path: str, text: str, *, writes: bool) -> None:
    system = System(tmp_path)
    system.path(path).parent.mkdir(parents=True)
    system.path(path).write_text(text)
    assert (cloudinit.writer(system) == cloudinit.WRITER) is writes
