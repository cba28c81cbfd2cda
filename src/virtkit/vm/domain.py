"""A machine's XML as a whole: https://libvirt.org/formatdomain.html."""

from __future__ import annotations

import hashlib

from virtkit.vm.cpus import Cpus, format_cpus, parse_cpus
from virtkit.vm.devices import Channel, Console, Disk, Graphics, HostDevice, Nic
from virtkit.vm.xml import Bytes, Element, Integer, Items, Text, View, canonical, children, element, parse, remove, text

AGENT = "org.qemu.guest_agent.0"


class VcpuPin(View):
    vcpu = Integer("@vcpu")
    cpus = Text("@cpuset")


class IoThreadPin(View):
    iothread = Integer("@iothread")
    cpus = Text("@cpuset")


class Domain(View):
    type = Text("@type")  # kvm or qemu (emulation, TCG)
    name = Text("name")
    uuid = Text("uuid")
    title = Text("title")
    memory = Bytes("memory")
    balloon = Bytes("currentMemory")
    room = Bytes("maxMemory")  # for memory that is plugged in; 0: none
    iothreads = Integer("iothreads")
    vcpus = Integer("vcpu")  # the most that it can have
    vcpus_on = Integer("vcpu@current")  # 0: all of them
    machine = Text("os/type@machine")
    cpu_mode = Text("cpu@mode")
    cpu_model = Text("cpu/model")
    emulator_pin = Text("cputune/emulatorpin@cpuset")
    vcpu_pins = Items("cputune/vcpupin", VcpuPin)
    iothread_pins = Items("cputune/iothreadpin", IoThreadPin)
    disks = Items("devices/disk", Disk)
    nics = Items("devices/interface", Nic)
    consoles = Items("devices/console", Console)
    serials = Items("devices/serial", Console)
    channels = Items("devices/channel", Channel)
    graphics = Items("devices/graphics", Graphics)
    host_devices = Items("devices/hostdev", HostDevice)

    @classmethod
    def parse(cls, document: str) -> Domain:
        """MachineError for what is no XML; what is no domain, libvirt refuses."""
        return cls(parse(document))

    def text(self) -> str:
        return text(self.node)

    @property
    def digest(self) -> str:
        """The same for the same machine, whatever the XML's white space and order of attributes and of device kinds.

        libvirt itself moves controllers about: those it added come out in another place once its XML is defined again.
        """
        rest = [canonical(node) for node in children(self.node) if node.tag != "devices"]
        kinds: dict[str, list[str]] = {}
        for devices in self.node.findall("devices"):
            for device in children(devices):
                kinds.setdefault(device.tag, []).append(canonical(device))
        for kind, alike in sorted(kinds.items()):
            rest += sorted(alike) if kind == "controller" else alike
        said = "\n".join([canonical(Element(self.node.tag, self.node.attrib)), *rest])
        return f"XML {hashlib.sha256(said.encode()).hexdigest()[:16]}"

    @property
    def devices(self) -> Element:
        """The element that holds them."""
        found = self.node.find("devices")
        if found is None:
            self.node.append(found := element("devices"))
        return found

    @property
    def efi(self) -> bool:
        """Whether libvirt is asked to choose a UEFI firmware for it."""
        found = self.node.find("os")
        return found is not None and found.get("firmware") == "efi"

    @property
    def pins(self) -> dict[int, Cpus]:
        """Only the vCPUs that are pinned."""
        return {pin.vcpu: parse_cpus(pin.cpus) for pin in self.vcpu_pins}

    @property
    def iothread_numbers(self) -> tuple[int, ...]:
        """As libvirt counts them, from 1 unless the XML says otherwise."""
        own = [Integer("@id").__get__(View(node), View) for node in self.node.findall("iothreadids/iothread")]
        return tuple(own) or tuple(range(1, self.iothreads + 1))

    @property
    def numatune(self) -> str:
        """Its XML; empty if nothing says where its memory is to be."""
        found = self.node.find("numatune")
        return "" if found is None else text(found).strip()

    @numatune.setter
    def numatune(self, wanted: str) -> None:
        for old in self.node.findall("numatune"):
            remove(self.node, old)
        if wanted:
            self.node.append(parse(wanted))

    @property
    def agent_connected(self) -> bool:
        """Whether a guest agent has opened its channel; it may still be too busy to answer."""
        return any(channel.name == AGENT and channel.state == "connected" for channel in self.channels)

    @property
    def has_screen(self) -> bool:
        """Whether it has a video card; reached or not (``graphics``)."""
        return any(node.get("type") != "none" for node in self.node.findall("devices/video/model"))

    @property
    def has_password(self) -> bool:
        """Of VNC or SPICE: the only secret that stands in a domain's XML itself."""
        return any(node.get("passwd") for node in self.node.findall("devices/graphics"))

    def nic(self, mac: str) -> Nic | None:
        return next((nic for nic in self.nics if nic.mac.lower() == mac.lower()), None)

    def essentials(self) -> tuple[str, ...]:
        """What a person chose, one line each: the same for what was asked and for what libvirt made of it."""
        disks = [f"{d.target} {d.source} {d.format} cache {d.cache or '-'} io {d.io or '-'}" for d in self.disks]
        nics = [f"{n.mac.lower()} on {n.type} {n.source}" for n in self.nics]
        return (
            f"name {self.name}",
            f"type {self.type}",
            f"memory {self.memory}",
            f"vcpus {self.vcpus}",
            f"disks {', '.join(disks)}",
            f"network cards {', '.join(nics)}",
        )

    def set_pins(self, vcpus: dict[int, Cpus], emulator: Cpus, iothreads: dict[int, Cpus]) -> None:
        """Pin exactly these; no CPUs at all means: not pinned."""
        tune = self.node.find("cputune")
        if tune is None:
            tune = element("cputune")
            self.node.append(tune)
        for old in [*tune.findall("vcpupin"), *tune.findall("emulatorpin"), *tune.findall("iothreadpin")]:
            remove(tune, old)
        for vcpu, cpus in sorted(vcpus.items()):
            tune.append(element("vcpupin", {"vcpu": str(vcpu), "cpuset": format_cpus(cpus)}))
        if emulator:
            tune.append(element("emulatorpin", {"cpuset": format_cpus(emulator)}))
        for number, cpus in sorted(iothreads.items()):
            tune.append(element("iothreadpin", {"iothread": str(number), "cpuset": format_cpus(cpus)}))
        if not len(tune):
            remove(self.node, tune)
