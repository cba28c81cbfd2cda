"""``virtkit vm``: virtual machines. A verb is a module of its name with ``build(parser)``."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    from virtkit.cli.options import Arguments

VERBS = {
    "list": "all machines, running or not",
    "show": "one machine: state, CPUs, memory, disks, network cards, addresses",
    "ip": "a running machine's addresses, and who says so",
    "create": "make a machine from an image, a directory tree, an installer, the network or nothing",
    "import": "make a machine from an OVA, OVF, VMX or .vbox: converted, with its networks mapped",
    "clone": "make another machine like it: its disks copied, shared or stood upon",
    "template": "make a machine something that others are cloned from, and that is never written to",
    "log": "what QEMU said: libvirt's log of the machine, with its last start marked",
    "start": "start a machine",
    "stop": "ask the guest to shut down, by its agent or ACPI, and wait for it",
    "restart": "off and on again, by a new QEMU: what waits for the next start counts then",
    "kill": "pull a machine's plug; what the guest has not written is lost",
    "rm": "remove a machine and its files: each is named first, what others need stays",
    "autostart": "start a machine with the host, in an order, or list those that do",
    "set": "change fields: vCPUs, memory, disks, network cards; now where libvirt can",
    "edit": "change the whole XML in an editor, or from a file",
    "diff": "what runs otherwise than the next start will have it",
    "hotplug": "plug in vCPUs, memory, a disk, a network card, a PCI device",
    "unplug": "take them out again",
    "pin": "keep a machine's threads on given CPUs, or show where they may run",
    "attach": "move a machine's network card to a bridge, while it runs",
    "snapshot": "keep earlier states of a machine, go back to them, delete them",
    "backup": "back a machine up, in full or what changed; list, verify, restore",
    "migrate": "move a machine to another host, while it runs",
    "top": "what machines do: CPU, steal, memory, disks, network; live, once, for Prometheus",
    "console": "talk to a machine's serial console, after what it said before; ^] leaves",
    "screenshot": "a picture of what a machine's screen shows, as PNG",
    "view": "open a machine's screen in the desktop's viewer, or say how to reach it",
}


def build(parser: Arguments) -> None:
    options.verbs(parser, {verb: (partial(_build, verb), about) for verb, about in VERBS.items()})


def _build(verb: str, parser: Arguments) -> None:
    import_module(f"virtkit.cli.vm.{'import_' if verb == 'import' else verb}").build(parser)
