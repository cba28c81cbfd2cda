"""``virtkit host``: the host that machines run on. A verb is a module of its name with ``build(parser)``."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    from virtkit.cli.options import Arguments

VERBS = {
    "show": "KVM, CPUs, memory, huge pages, KSM, disks' schedulers, and what machines ask of them",
    "facts": "everything that is known about the host, as text, JSON or a record that can be asked elsewhere",
    "doctor": "how it is set, against what its machines need: each knob with its reason and who says so",
    "tune": "do what the doctor advises and needs no reboot, now and over restarts",
    "explain": "long texts, in English and Chinese: cache modes, huge pages, KSM, pins ... or one knob",
    "topology": "nodes, packages, caches, cores and threads, devices, and the machines that run on them",
    "place": "which machine runs on which CPUs: planned with the caches and nodes in view, shown, then done",
    "knobs": "what can be tuned: how it is set, what is legal, what it risks, who says so",
    "set": "set knobs, now and over restarts; nothing is written where all is so already",
    "verify": "whether the knobs that were set are still so: run time, persistent, wanted; exit status 1 if not",
    "ksm": "merge like pages of machines, or take them apart; who gains by it, and what it costs",
    "pci": "PCI devices by IOMMU group, what keeps each from a guest; virtual functions, drivers",
    "hugepages": "huge pages node by node: who uses them, which are stranded; set aside, or given back",
    "bench": "what a setting is worth on this host, measured in turns; no verdict where noise is larger",
}


def build(parser: Arguments) -> None:
    options.verbs(parser, {verb: (partial(_build, verb), about) for verb, about in VERBS.items()})


def _build(verb: str, parser: Arguments) -> None:
    import_module(f"virtkit.cli.host.{verb}").build(parser)
