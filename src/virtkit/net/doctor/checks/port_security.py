"""A switch that takes one MAC address per port: unseen from here, and the rule where the host is itself a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.doctor.finding import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene

# What sys_vendor of DMI says under a hypervisor, and what lets other MAC addresses through there.
HYPERVISORS = {
    "VMware": "in the port group: Forged transmits and Promiscuous mode (or MAC learning): Accept",
    "Microsoft Corporation": "Set-VMNetworkAdapter -MacAddressSpoofing On",
    "OpenStack": "openstack port set --disable-port-security PORT",
    "Amazon EC2": "not at all: a VPC delivers to registered addresses alone; route or NAT instead",
    "Google": "not at all: use alias IP ranges with routing instead",
    "innotek GmbH": "in the adapter's settings: Promiscuous Mode: Allow All",
    "Xen": "on dom0: no anti-spoof rules for this vif",
    "QEMU": "nothing by itself, but check nwfilter (clean-traffic, no-mac-spoofing) of the outer host",
}


class PortSecurity:
    title = "does what this host is plugged into take other MAC addresses than its own?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        vendor = scene.system.read_or("/sys/class/dmi/id/sys_vendor", "")
        product = scene.system.read_or("/sys/class/dmi/id/product_name", "")
        advice = next((text for name, text in HYPERVISORS.items() if vendor.startswith(name)), "")
        if not advice or (vendor.startswith("Microsoft") and product != "Virtual Machine"):
            return
        for bridge in scene.bridges:
            for port in scene.uplinks(bridge):
                if not port.kind:
                    yield Finding(
                        "port_security",
                        port.name,
                        Harm.RISK,
                        seen=f"this host is itself a machine ({vendor}, {product}), and {port.name} leads out of it",
                        why="its switch may drop frames of guests' MAC addresses: they send and are never answered",
                        advice=f"let them through: {advice}",
                    )


CHECK = PortSecurity()
