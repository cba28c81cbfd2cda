"""Bounds of the kernel that hosts of many machines run into, mostly at a machine's start."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Risk, Says
from virtkit.host.legal import Range, Words

KNOBS = (
    Knob(
        name="fs.aio-max-nr",
        file="/proc/sys/fs/aio-max-nr",
        legal=Range(0, (1 << 31) - 1, "requests"),
        explain=Says(
            en="How many requests of Linux AIO all programs together may have set up. Each disk with io=native"
            " takes some; when they run out a machine does not start (EAGAIN). 1048576 costs nothing until it is"
            " used.",
            zh="所有程序合计可建立多少个 Linux AIO 请求。每个 io=native 的磁盘都占用一些；用完后虚拟机无法启动（EAGA"
            "IN）。设为 1048576，不用就不占资源。",
        ),
        evidence=(Evidence("Documentation/admin-guide/sysctl/fs.rst, aio-nr and aio-max-nr"),),
    ),
    Knob(
        name="vm.max_map_count",
        file="/proc/sys/vm/max_map_count",
        legal=Range(1024, (1 << 31) - 1, "mappings"),
        explain=Says(
            en="How many pieces of address space one program may have. QEMU with many devices, with memory given in"
            " blocks, or with virtiofs needs more than 65530, the old default. 262144 is plenty.",
            zh="一个程序最多可有多少段内存映射。设备多、内存分块或使用 virtiofs 的 QEMU 可能超过旧默认值 65530。2621"
            "44 已很充裕。",
        ),
        evidence=(Evidence("Documentation/admin-guide/sysctl/vm.rst, max_map_count"),),
    ),
    Knob(
        name="kernel.io_uring_disabled",
        file="/proc/sys/kernel/io_uring_disabled",
        legal=Words(("0", "1", "2")),
        risk=Risk.SECURITY,
        explain=Says(
            en="0 lets every program use io_uring, 1 only those of the group kernel.io_uring_group, 2 nobody. Disks"
            " with io=io_uring need 0, or QEMU in that group. Distributions turn it off because many holes of"
            " the kernel were found there.",
            zh="0 允许所有程序使用 io_uring；1 仅限 kernel.io_uring_group 组；2 全部禁止。io=io_uring 的磁盘需要 0，"
            "或把 QEMU 放进该组。有些发行版将其关闭，因为这里发现过许多内核漏洞。",
        ),
        danger=Says(
            en="0 opens io_uring to every user of the host; 1 or 2 keeps machines with io=io_uring from starting.",
            zh="0 让主机上的每个用户都能使用 io_uring；1 或 2 会使 io=io_uring 的虚拟机无法启动。",
        ),
        evidence=(Evidence("Documentation/admin-guide/sysctl/kernel.rst, io_uring_disabled"),),
    ),
)
