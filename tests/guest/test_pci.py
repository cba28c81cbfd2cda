"""PCI devices under the distribution's kernel: an IOMMU, VFIO and a device with virtual functions, made by QEMU.

One guest, about a minute: only with VIRTKIT_DEPTH above 1.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from guest import workshop
from support.depth import only_deep
from support.qemu import Machine
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.qemu import Agent

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(600),
    only_deep("boots a guest"),
]

NVME = "nvme,serial=a,subsys=s,bus=p1,sriov_max_vfs=4,sriov_vq_flexible=8,sriov_vi_flexible=4,max_ioqpairs=10"
DEVICES = (
    *("-machine", "q35,kernel-irqchip=split", "-device", "intel-iommu", "-m", "512"),
    *("-device", "pcie-root-port,id=p1,chassis=1,slot=1", "-device", "nvme-subsys,id=s", "-device", NVME),
    *("-device", "pcie-root-port,id=p2,chassis=2,slot=2", "-device", "e1000e,bus=p2"),
)
KIT = workshop.Kit(
    (),
    (),
    ("nvme", "vfio", "vfio_iommu_type1", "vfio_pci"),
    ("drivers/nvme/*", "drivers/vfio/*", "virt/*", "block/*", "crypto/*", "arch/x86/crypto/*", "drivers/iommu/*"),
)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs qemu-system-x86_64")
    place: Path = tmp_path_factory.mktemp("pci")
    try:
        kernel, initramfs = workshop.build(place, KIT)
    except NotSupportedError as error:
        pytest.skip(error.message)
    boot = ("-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet intel_iommu=on")
    with Machine(place, [*DEVICES, *boot]) as machine:
        found = machine.agent()
        found.shell("sh /lib/drivers")
        yield found


def virtkit(agent: Agent, *words: str) -> str:
    return agent.shell(f". /lib/workshop; cd /run; python3 -m virtkit {' '.join(words)} 2>&1 || true")


def listed(agent: Agent) -> dict[str, dict[str, Any]]:
    return {each["address"]: each for each in json.loads(virtkit(agent, "host", "pci", "list", "--output", "json"))}


def nvme(agent: Agent) -> list[str]:
    """The physical function first."""
    return sorted(address for address, each in listed(agent).items() if each["class_code"] == 0x010802)


def test_virtual_functions_come_and_go_and_a_driver_is_changed_and_put_back(agent: Agent) -> None:
    (physical,) = nvme(agent)
    assert listed(agent)[physical]["sriov"] == {"total": 4, "number": 0}
    assert listed(agent)[physical]["iommu_group"] is not None
    assert "done" in virtkit(agent, "host", "pci", "sriov", physical, "2", "-y")
    functions = nvme(agent)
    assert len(functions) == 3
    assert listed(agent)[functions[1]]["physical_function"] == physical
    assert "done" in virtkit(agent, "host", "pci", "bind", functions[1], "-y")
    assert listed(agent)[functions[1]]["driver"] == "vfio-pci"
    assert "is held by vfio-pci" in virtkit(agent, "host", "pci", "sriov", physical, "4", "-y")
    said = virtkit(agent, "undo", "-y")
    assert listed(agent)[functions[1]]["driver"] != "vfio-pci", said
    said = virtkit(agent, "undo", "-y")
    assert nvme(agent) == [physical], said


def test_a_device_of_the_hosts_is_not_bound_to_vfio(agent: Agent) -> None:
    found = listed(agent)
    (card,) = [address for address, each in found.items() if each["device"] == 0x10D3]
    assert found[card]["barrier"] == ""
    bridge = next(address for address, each in found.items() if each["kind"] == "bridge")
    assert "is a bridge of the host" in virtkit(agent, "host", "pci", "bind", bridge, "-y")
    assert "done" in virtkit(agent, "host", "pci", "bind", card, "-y")
    assert listed(agent)[card]["driver"] == "vfio-pci"
    assert "done" in virtkit(agent, "host", "pci", "bind", card, "--driver", "original", "-y")
    assert listed(agent)[card]["driver"] != "vfio-pci"
