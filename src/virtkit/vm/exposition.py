"""Counters of machines as Prometheus reads them: the text format 0.0.4.

The names are those of libvirt-exporter (Tinkoff, before that AlexZzz and kumina), which Grafana's boards for libvirt
ask for: https://github.com/Tinkoff/libvirt-exporter. What libvirt does not say is left out; that exporter says 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.vm.counters import CardCounters, DiskCounters, MemoryCounters, VcpuCounters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from virtkit.vm.counters import Counters
    from virtkit.vm.domain import Domain
    from virtkit.vm.footprint import Footprint
    from virtkit.vm.xml import Element

_NANO = 1e-9
Sample = tuple[dict[str, str], float]


class Pool(NamedTuple):
    """An active storage pool; bytes."""

    name: str
    capacity: int
    allocation: int
    available: int


class Seen(NamedTuple):
    """One machine, all that is known of it at this moment."""

    counters: Counters
    domain: Domain | None  # None: it has gone since
    footprint: Footprint | None  # None: off, or another host's


class _Metric(NamedTuple):
    name: str
    help: str
    field: str  # of the counters it is about
    scale: float = 1


_VCPU = (
    _Metric("time_seconds_total", "Time that the vCPU ran on a host CPU.", "time", _NANO),
    _Metric("delay_seconds_total", "Time that it was ready and had no host CPU: the guest's steal.", "delay", _NANO),
    _Metric("wait_seconds_total", "The scheduler's wait_sum: needs kernel.sched_schedstats=1.", "wait", _NANO),
    _Metric("state", "0: offline, 1: running, 2: blocked.", "state"),
)
_DISK = (
    _Metric("read_bytes_total", "Bytes read.", "read_bytes"),
    _Metric("read_requests_total", "Requests to read.", "read_requests"),
    _Metric("read_time_seconds_total", "Time that requests to read took.", "read_time", _NANO),
    _Metric("write_bytes_total", "Bytes written.", "write_bytes"),
    _Metric("write_requests_total", "Requests to write.", "write_requests"),
    _Metric("write_time_seconds_total", "Time that requests to write took.", "write_time", _NANO),
    _Metric("flush_requests_total", "Requests to flush.", "flush_requests"),
    _Metric("flush_time_seconds_total", "Time that requests to flush took.", "flush_time", _NANO),
    _Metric("allocation", "Offset of the highest byte written.", "allocation"),
    _Metric("capacity_bytes", "Bytes that the guest sees.", "capacity"),
    _Metric("physicalsize_bytes", "Bytes of its file or device.", "physical"),
)
_CARD = tuple(
    _Metric(f"{way}_{what}_total", f"{what.capitalize()}: {way}, as the guest sees it.", f"{way}_{what}")
    for way in ("receive", "transmit")
    for what in ("bytes", "packets", "errors", "drops")
)
_MEMORY = (
    _Metric("major_fault_total", "Page faults in the guest that had to read.", "major_fault"),
    _Metric("minor_fault_total", "Page faults in the guest that had not.", "minor_fault"),
    _Metric("unused_bytes", "MemFree in the guest.", "unused"),
    _Metric("available_bytes", "All memory that the guest's system has.", "available"),
    _Metric("actual_balloon_bytes", "What the balloon leaves to the guest.", "current"),
    _Metric("rss_bytes", "What QEMU has in the host's memory, huge pages not.", "rss"),
    _Metric("usable_bytes", "MemAvailable in the guest.", "usable"),
    _Metric("disk_cache_bytes", "What the guest caches of its disks.", "disk_caches"),
)
_WAYS = ("total", "write", "read")
_LIMITS = {  # of a disk's iotune in the XML -> after libvirt_domain_block_stats_; that exporter says 0 for no limit
    **{f"{way}_bytes_sec": f"limit_{way}_bytes" for way in ("total", "write", "read")},
    **{f"{way}_iops_sec": f"limit_{way}_requests" for way in ("total", "write", "read")},
    **{f"{way}_bytes_sec_max": f"limit_burst_{way}_bytes" for way in ("total", "write", "read")},
    **{f"{way}_iops_sec_max": f"limit_burst_{way}_requests" for way in ("total", "write", "read")},
    **{f"{way}_bytes_sec_max_length": f"limit_burst_{way}_bytes_length_seconds" for way in ("total", "write", "read")},
    **{
        f"{way}_iops_sec_max_length": f"limit_burst_length_{way}_requests_seconds" for way in ("total", "write", "read")
    },
    "size_iops_sec": "size_iops_bytes",
}

_NOVA = {  # label -> where OpenStack's Nova writes it into the metadata; nothing for other machines
    "instance_name": ("nova:name", ""),
    "flavor": ("nova:flavor", "name"),
    "user_name": ("nova:user", ""),
    "user_uuid": ("nova:user", "uuid"),
    "project_name": ("nova:project", ""),
    "project_uuid": ("nova:project", "uuid"),
    "root_type": ("nova:root", "type"),
    "root_uuid": ("nova:root", "uuid"),
}


def exposition(machines: Sequence[Seen], pools: Sequence[Pool], versions: Mapping[str, str]) -> str:
    """All of it, as the text collector of node_exporter takes it from a file."""
    lines = _family("libvirt_up", "gauge", "Whether libvirt answered.", [({}, 1)])
    lines += _family("libvirt_versions_info", "gauge", "Versions of what runs here.", [(dict(versions), 1)])
    for machine_lines in (_domains, _vcpus, _disks, _cards, _memories):
        lines += machine_lines(machines)
    for field in ("capacity", "allocation", "available"):
        samples: list[Sample] = [({"pool": pool.name}, getattr(pool, field)) for pool in pools]
        lines += _family(f"libvirt_pool_info_{field}_bytes", "gauge", f"The pool's {field}.", samples)
    return "\n".join(lines) + "\n"


DOWN = "# HELP libvirt_up Whether libvirt answered.\n# TYPE libvirt_up gauge\nlibvirt_up 0\n"


def _domains(machines: Sequence[Seen]) -> list[str]:
    every = [({"domain": seen.counters.name}, seen.counters) for seen in machines]
    info: list[Sample] = [
        ({"domain": seen.counters.name, "uuid": seen.counters.uuid, **_nova(seen.domain.node)}, 1)
        for seen in machines
        if seen.domain
    ]
    lines = _family("libvirt_domain_info_meta", "gauge", "Who it is, for OpenStack too.", info)
    for name, help_, said in (
        ("maximum_memory_bytes", "The most that it may have.", [(d, c.memory.maximum) for d, c in every]),
        ("memory_usage_bytes", "What it has now.", [(d, c.memory.current) for d, c in every]),
        ("virtual_cpus", "vCPUs that it has now.", [(d, c.vcpus_current) for d, c in every]),
        ("vstate", "0: none, 1: running, 2: blocked, 3: paused, 4: in shutdown, 5: shut off, 6: crashed, 7: suspended.",
         [(d, c.state) for d, c in every]),
    ):  # fmt: skip
        lines += _family(f"libvirt_domain_info_{name}", "gauge", help_, _said(said))
    times: list[Sample] = [(d, c.cpu_time * _NANO) for d, c in every if c.cpu_time is not None]
    return lines + _family("libvirt_domain_info_cpu_time_seconds_total", "counter", "CPU time of QEMU.", times)


def _nova(root: Element) -> dict[str, str]:
    found = {node.tag: node for metadata in root.findall("metadata") for node in metadata.iter()}
    labels = {}
    for label, (tag, attribute) in _NOVA.items():
        node = found.get(tag)
        labels[label] = "" if node is None else node.get(attribute, "") if attribute else node.text or ""
    return labels


def _vcpus(machines: Sequence[Seen]) -> list[str]:
    every = [
        ({"domain": seen.counters.name, "vcpu": str(vcpu.number)}, vcpu)
        for seen in machines
        for vcpu in seen.counters.vcpus
    ]
    places: list[Sample] = [
        ({"domain": seen.counters.name, "vcpu": str(vcpu)}, cpu)
        for seen in machines
        if seen.footprint
        for vcpu, cpu in seen.footprint.vcpu_cpus.items()
    ]
    lines = _table("libvirt_domain_vcpu", _VCPU, every)
    return lines + _family("libvirt_domain_vcpu_cpu", "gauge", "The host CPU where it ran last.", places)


def _disks(machines: Sequence[Seen]) -> list[str]:
    every, about, limits = [], list[Sample](), {name: list[Sample]() for name in _LIMITS.values()}
    for seen in machines:
        described = {disk.target: disk for disk in seen.domain.disks} if seen.domain else {}
        for disk in seen.counters.disks:
            labels = {"domain": seen.counters.name, "target_device": disk.name}
            every.append((labels, disk))
            if (known := described.get(disk.name)) is None:
                continue
            about.append((labels | _about(known.node, disk.path or known.source), 1))
            for key, name in _LIMITS.items():
                limits[name].append((labels, float(known.node.findtext(f"iotune/{key}") or 0)))
    lines = _family("libvirt_domain_block_meta", "gauge", "What the disk is.", about)
    lines += _table("libvirt_domain_block_stats", _DISK, every)
    for name, samples in limits.items():
        lines += _family(f"libvirt_domain_block_stats_{name}", "gauge", "0: no limit.", samples)
    return lines


def _about(disk: Element, source: str) -> dict[str, str]:
    driver, target = disk.find("driver"), disk.find("target")
    named = {} if driver is None else driver.attrib
    return {
        "source_file": source,
        "serial": disk.findtext("serial") or "",
        "bus": "" if target is None else target.get("bus", ""),
        "disk_type": disk.get("type", ""),
        "driver_type": named.get("type", ""),
        "cache": named.get("cache", ""),
        "discard": named.get("discard", ""),
    }


def _cards(machines: Sequence[Seen]) -> list[str]:
    every, about = [], list[Sample]()
    for seen in machines:
        described = {nic.tap: nic for nic in seen.domain.nics} if seen.domain else {}
        for card in seen.counters.cards:
            labels = {"domain": seen.counters.name, "target_device": card.name}
            every.append((labels, card))
            if known := described.get(card.name):
                port = known.node.find("virtualport/parameters")
                more = "" if port is None else port.get("interfaceid", "")
                about.append((labels | {"source_bridge": known.bridge, "virtual_interface": more}, 1))
    lines = _family("libvirt_domain_interface_meta", "gauge", "Where the card is plugged in.", about)
    return lines + _table("libvirt_domain_interface_stats", _CARD, every)


def _memories(machines: Sequence[Seen]) -> list[str]:
    every = [({"domain": seen.counters.name}, seen.counters.memory) for seen in machines]
    used: list[Sample] = [
        (labels, 100 * memory.used / memory.available)
        for labels, memory in every
        if memory.used is not None and memory.available
    ]
    lines = _table("libvirt_domain_memory_stats", _MEMORY, every)
    return lines + _family("libvirt_domain_memory_stats_used_percent", "gauge", "Of the guest's memory.", used)


_Counted = VcpuCounters | DiskCounters | CardCounters | MemoryCounters


def _table(group: str, metrics: Sequence[_Metric], every: Sequence[tuple[dict[str, str], _Counted]]) -> list[str]:
    lines = []
    for metric in metrics:
        said = _said([(labels, getattr(counted, metric.field)) for labels, counted in every])
        kind = "counter" if metric.name.endswith("_total") else "gauge"
        samples = [(labels, value * metric.scale) for labels, value in said]
        lines += _family(f"{group}_{metric.name}", kind, metric.help, samples)
    return lines


def _said(values: Sequence[tuple[dict[str, str], int | None]]) -> list[Sample]:
    return [(labels, value) for labels, value in values if value is not None]


def _family(name: str, kind: str, help_: str, samples: Sequence[Sample]) -> list[str]:
    """Nothing where there is no sample."""
    if not samples:
        return []
    return [f"# HELP {name} {help_}", f"# TYPE {name} {kind}", *_samples(name, samples)]


def _samples(name: str, samples: Sequence[Sample]) -> Iterator[str]:
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        number = int(value) if float(value).is_integer() else round(value, 9)
        yield f"{name}{{{shown}}} {number}" if shown else f"{name} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
