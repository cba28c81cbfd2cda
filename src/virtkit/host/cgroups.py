"""Which control groups the host has: version 1, version 2, or both side by side (man 7 cgroups)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel

_V1_CONTROLLERS = frozenset(
    (
        *("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc"),
        *("net_cls", "net_prio", "perf_event", "pids", "rdma"),
    )
)


class Cgroups(NamedTuple):
    version: Literal["1", "2", "hybrid", "none"]  # hybrid: both are mounted, and version 1 has controllers
    v1_controllers: tuple[str, ...]
    v2_controllers: tuple[str, ...]
    v2_path: str | None


def read_cgroups(kernel: Kernel) -> Cgroups:
    rows = [line.split() for line in (kernel.text("/proc/mounts") or "").splitlines()]
    mounts = [(row[1], row[2], row[3]) for row in rows if len(row) > 3]  # noqa: PLR2004  device, path, type, options (man 5 fstab)
    v1 = {option for _, kind, options in mounts if kind == "cgroup" for option in options.split(",")} & _V1_CONTROLLERS
    v2_path = next((path for path, kind, _ in mounts if kind == "cgroup2"), None)
    v2 = (kernel.text(f"{v2_path}/cgroup.controllers") or "").split() if v2_path else []
    version: Literal["1", "2", "hybrid", "none"] = "none"
    if v1:
        version = "hybrid" if v2_path else "1"
    elif v2_path:
        version = "2"
    return Cgroups(version, tuple(sorted(v1)), tuple(sorted(v2)), v2_path)
