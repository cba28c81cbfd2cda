"""A machine's devices as its XML describes them: https://libvirt.org/formatdomain.html#devices."""

from __future__ import annotations

from virtkit.vm.xml import Text, View, element, remove

BRIDGE, NETWORK = "bridge", "network"  # interface types: whose tap is put into a bridge of the host
USER = "user"  # likewise: QEMU's own NAT, or passt's, without a tap


class Disk(View):
    type = Text("@type")  # file, block, network, volume ...
    device = Text("@device")  # disk, cdrom, floppy, lun
    target = Text("target@dev")  # vda: a label; the guest may name it otherwise
    bus = Text("target@bus")
    format = Text("driver@type")
    cache = Text("driver@cache")  # empty: QEMU's default, which is writeback
    io = Text("driver@io")  # empty: threads
    alias = Text("alias@name")  # of a running machine

    @property
    def read_only(self) -> bool:
        return self.node.find("readonly") is not None

    @read_only.setter
    def read_only(self, wanted: bool) -> None:
        found = self.node.find("readonly")
        if found is not None and not wanted:
            remove(self.node, found)
        elif found is None and wanted:
            self.node.append(element("readonly"))

    @property
    def shareable(self) -> bool:
        """Whether several machines may write to it."""
        return self.node.find("shareable") is not None

    @property
    def encrypted(self) -> bool:
        return self.node.find(".//encryption") is not None

    @property
    def source(self) -> str:
        """The file, block device, volume or remote name; empty for an empty drive."""
        node = self.node.find("source")
        if node is None:
            return ""
        return node.get("file") or node.get("dev") or node.get("dir") or node.get("name") or node.get("volume") or ""

    def put_on(self, path: str, form: str) -> None:
        """Another file; what belonged to the old one (its chain, a copy on its way, labels) goes."""
        for tag in ("source", "backingStore", "mirror"):
            if (old := self.node.find(tag)) is not None:
                remove(self.node, old)
        self.type, self.format = "file", form
        self.node.insert(1, element("source", {"file": path}))


class Nic(View):
    type = Text("@type")
    mac = Text("mac@address")
    model = Text("model@type")
    tap = Text("target@dev")  # of a running machine
    link = Text("link@state")  # up (also when empty) or down

    @property
    def source(self) -> str:
        """The bridge's, the network's or the host link's name."""
        node = self.node.find("source")
        return "" if node is None else node.get(self.type) or node.get("dev") or ""

    @property
    def bridge(self) -> str:
        """The bridge that carries it: of a network, too, while the machine runs."""
        node = self.node.find("source")
        return "" if node is None else node.get("bridge", "")

    @property
    def network(self) -> str:
        """Libvirt's network that it is in; a running machine's card is of type bridge if that network is one's."""
        node = self.node.find("source")
        return "" if node is None else node.get("network", "")

    def connect(self, kind: str, source: str) -> None:
        """Move it to a bridge or a network, or to QEMU's own NAT (USER, which has no source).

        What belonged to the old one (port id, virtual port, forwarded ports) goes.
        """
        for tag in ("source", "virtualport", "backend", "portForward"):
            for old in self.node.findall(tag):
                remove(self.node, old)
        self.node.set("type", kind)
        if kind != USER:
            self.node.insert(1, element("source", {kind: source}))


class Console(View):
    type = Text("@type")
    path = Text("source@path")  # of a running machine: its pseudo terminal
    log = Text("log@file")


class Graphics(View):
    """How a screen is reached; of a running machine."""

    type = Text("@type")  # vnc, spice, sdl ...
    listen = Text("listen@type")  # address, network, socket, none
    address = Text("listen@address")
    socket = Text("listen@socket")
    port = Text("@port")  # -1 or empty: none
    tls_port = Text("@tlsPort")


class Channel(View):
    name = Text("target@name")
    state = Text("target@state")  # of a running machine: connected, disconnected


class HostDevice(View):
    """``<hostdev>``: a device of the host that the machine has."""

    @property
    def pci(self) -> str:
        """``0000:09:00.0``; empty for what is no PCI device."""
        found = self.node.find("source/address")
        if found is None or self.node.get("type") != "pci":
            return ""
        domain, bus, slot, function = (int(found.get(key, "0"), 0) for key in ("domain", "bus", "slot", "function"))
        return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
