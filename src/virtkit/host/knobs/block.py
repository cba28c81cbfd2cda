"""The queues of the host's disks (Documentation/ABI/stable/sysfs-block)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from virtkit.host.knob import Evidence, Knob, Risk, Says, Scope
from virtkit.host.legal import Bracketed, Range, Words

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel

_QUEUE = "/sys/block/{place}/queue"
_ABI = "Documentation/ABI/stable/sysfs-block"
_MOST = (1 << 31) - 1


def _never(kernel: Kernel, place: str, wanted: str) -> str:
    return (
        "virtkit never writes it: with 'write through' the kernel drops the flushes of a disk with a volatile cache,"
        " and a power cut loses what machines believe to be safe"
    )


KNOBS = (
    Knob(
        name="block.scheduler",
        file=f"{_QUEUE}/scheduler",
        legal=Bracketed(),
        scope=Scope.DISK,
        formerly=MappingProxyType({"noop": "none", "deadline": "mq-deadline", "cfq": "bfq"}),
        resets=("block.nr_requests", "block.wbt_lat_usec"),
        explain=Says(
            en="Who orders a disk's requests. none for NVMe and for disks that are virtual themselves; mq-deadline"
            " for SATA disks, rotating or not; bfq where one writer must not slow everybody else down, as on"
            " desktops. noop, deadline and cfq went with Linux 5.0. Changing it sets the queue's length anew.",
            zh="由谁给磁盘请求排序。NVMe 和本身就是虚拟的磁盘用 none；SATA 盘（机械或固态）用 mq-deadline；不许一个"
            "写者拖慢所有人的场合（如桌面）用 bfq。noop、deadline、cfq 已随 Linux 5.0 消失。更换会重置队列长度。",
        ),
        danger=Says(
            en="bfq takes about 2 us of CPU time a request: too much for NVMe.",
            zh="bfq 每个请求约耗 2 微秒 CPU：对 NVMe 太多。",
        ),
        evidence=(
            Evidence(
                "measured",
                "p99 of reads beside a writer: none 9-15, mq-deadline 12-13, kyber 10-26, bfq 3.9-7.0 ms; reads"
                " a second 638-765, bfq 1367-3957",
                "loop device, kernel 6.18",
            ),
            Evidence("measured", "bfq with nr_requests 256 -> none: 128", "kernel 6.18"),
            Evidence("Documentation/block/bfq-iosched.rst", "1.9 us a request"),
        ),
    ),
    Knob(
        name="block.nr_requests",
        file=f"{_QUEUE}/nr_requests",
        legal=Range(4, 65_536, "requests"),
        scope=Scope.DISK,
        explain=Says(
            en="How many requests wait in the queue. More lets the scheduler sort better and hides a slow disk, and"
            " makes each request wait longer behind the others. The scheduler sets it anew when it is changed,"
            " so it is set afterwards. The disk's own queue bounds it.",
            zh="队列里最多等待多少个请求。多些有利于排序、掩盖慢盘，但每个请求排队也更久。更换调度器会重置它，因此要"
            "在其后设置。设备自身队列是上限。",
        ),
        evidence=(
            Evidence(f"{_ABI}, nr_requests"),
            Evidence("measured", "reset by a change of the scheduler", "kernel 6.18"),
        ),
    ),
    Knob(
        name="block.read_ahead_kb",
        file=f"{_QUEUE}/read_ahead_kb",
        legal=Range(0, 1 << 20, "KiB"),
        scope=Scope.DISK,
        explain=Says(
            en="How much more than asked for is read of a file that is read in order. 4096 helps backups and images"
            " on hard disks; machines with cache=none read past it. Random loads are not touched: the kernel"
            " reads ahead only where it sees an order.",
            zh="顺序读文件时额外预读多少。4096 有利于机械盘上的备份和镜像；cache=none 的虚拟机不经过它。随机负载不受"
            "影响：内核只在看出顺序时才预读。",
        ),
        evidence=(
            Evidence("tuned 2.28, profile throughput-performance", "at least 4096"),
            Evidence(f"{_ABI}, read_ahead_kb"),
        ),
    ),
    Knob(
        name="block.wbt_lat_usec",
        file=f"{_QUEUE}/wbt_lat_usec",
        legal=Range(0, _MOST, "us"),
        scope=Scope.DISK,
        explain=Says(
            en="How long reads may take before the kernel holds background writes back. It keeps a host that"
            " flushes its cache from starving everybody's reads. 0 turns it off, which is right where the"
            " machines' own limits or the storage rule.",
            zh="读请求耗时超过多少时，内核开始压制后台写。它防止主机刷缓存时饿死所有读请求。0 表示关闭，适合由虚拟机"
            "限速或存储自身来管控的场合。",
        ),
        evidence=(
            Evidence(f"{_ABI}, wbt_lat_usec"),
            Evidence("measured", "changed, read back and put back; absent under bfq", "kernel 6.18"),
        ),
    ),
    Knob(
        name="block.rq_affinity",
        file=f"{_QUEUE}/rq_affinity",
        legal=Words(("0", "1", "2")),
        scope=Scope.DISK,
        explain=Says(
            en="Where a finished request is completed: 1 on a CPU near the one that asked, 2 on that very CPU, 0"
            " wherever the interrupt came. 2 spreads the work of a fast disk evenly; 1, the default, is good for"
            " the rest.",
            zh="请求完成后在哪里收尾：1 在提出者附近的 CPU，2 就在提出者那个 CPU，0 在中断到达处。高速盘用 2 可把工"
            "作摊匀；其余用默认 1。",
        ),
        evidence=(
            Evidence(f"{_ABI}, rq_affinity"),
            Evidence("measured", "changed, read back and put back", "kernel 6.18"),
        ),
    ),
    Knob(
        name="block.nomerges",
        file=f"{_QUEUE}/nomerges",
        legal=Words(("0", "1", "2")),
        scope=Scope.DISK,
        explain=Says(
            en="Whether the kernel looks for neighbours to join a request with: 0 all ways, 1 only the cheap one, 2"
            " not at all. 2 saves a little CPU time with random loads on fast flash, and costs much with"
            " anything read in order.",
            zh="内核是否为请求寻找可合并的相邻者：0 用尽办法，1 只用最省的办法，2 完全不找。高速闪存上的随机负载选 2"
            " 可省一点 CPU；对顺序读写则损失很大。",
        ),
        evidence=(
            Evidence(f"{_ABI}, nomerges"),
            Evidence("measured", "changed, read back and put back", "kernel 6.18"),
        ),
    ),
    Knob(
        name="block.write_cache",
        file=f"{_QUEUE}/write_cache",
        legal=Words(("write back", "write through")),
        scope=Scope.DISK,
        risk=Risk.DATA,
        refusal=_never,
        explain=Says(
            en="Whether the disk has a volatile cache, as the kernel believes. It is shown and never set: saying"
            " 'write through' of a disk that has one makes the kernel drop the flushes that databases in"
            " machines count on.",
            zh="内核认为该盘是否带易失缓存。只显示，绝不设置：明明有缓存却写成 'write through'，内核就会丢弃虚拟机里"
            "数据库所依赖的刷盘请求。",
        ),
        danger=Says(
            en="Data is lost at a power cut, after the machine was told that it is safe.",
            zh="断电时，已告知虚拟机“安全”的数据会丢失。",
        ),
        evidence=(Evidence(f"{_ABI}, write_cache"), Evidence("Documentation/block/writeback_cache_control.rst")),
    ),
)
