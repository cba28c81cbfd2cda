from __future__ import annotations

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.vm.migration.way import Obstacle, full_uri, refuse


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("kvm2", "qemu+ssh://kvm2/system"),
        ("root@10.0.0.2", "qemu+ssh://root@10.0.0.2/system"),
        ("qemu+tcp://kvm2/system", "qemu+tcp://kvm2/system"),
    ],
)
def test_a_hosts_name_is_roots_libvirt_there(typed: str, meant: str) -> None:
    assert full_uri(typed) == meant


def test_obstacles_are_told_together() -> None:
    refuse("web1", "kvm2", [])
    with pytest.raises(NotSupportedError) as caught:
        refuse(
            "web1", "kvm2", [Obstacle("memory: kvm2 has 1 GiB free, expected 2 GiB", "ls"), Obstacle("CPU: none", "")]
        )
    assert caught.value.message.splitlines() == [
        "web1: 2 things are in the way to kvm2, and nothing was touched",
        "  memory: kvm2 has 1 GiB free, expected 2 GiB",
        "    try: ls",
        "  CPU: none",
    ]
