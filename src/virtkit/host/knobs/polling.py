"""Whether programs that wait for packets ask the card themselves (Documentation/admin-guide/sysctl/net.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Range

_TUNED = Evidence("tuned 2.28, profile network-latency", "50")
_DOCUMENT = "Documentation/admin-guide/sysctl/net.rst"

KNOBS = (
    Knob(
        name="net.core.busy_poll",
        file="/proc/sys/net/core/busy_poll",
        legal=Range(0, 1_000_000, "us"),
        explain=Says(
            en="How long poll and select ask the card for packets before they sleep. 50 saves some microseconds for"
            " programs of the host that wait for the network, and takes a CPU while they wait. Packets of"
            " machines do not go this way; it is for storage and management on real-time hosts. 0 elsewhere.",
            zh="poll 和 select 在睡眠之前向网卡轮询多久。50 可为主机上等待网络的程序省几微秒，等待期间占用 CPU。虚拟"
            "机的报文不走这里；它服务于实时主机上的存储和管理程序。其他主机用 0。",
        ),
        evidence=(_TUNED, Evidence(f"{_DOCUMENT}, busy_poll")),
    ),
    Knob(
        name="net.core.busy_read",
        file="/proc/sys/net/core/busy_read",
        legal=Range(0, 1_000_000, "us"),
        explain=Says(
            en="The same for reads of a socket. Programs can ask for it themselves (SO_BUSY_POLL), which disturbs"
            " nobody else.",
            zh="对套接字读取的同一设置。程序也可自行请求（SO_BUSY_POLL），不影响别人。",
        ),
        evidence=(_TUNED, Evidence(f"{_DOCUMENT}, busy_read")),
    ),
)
