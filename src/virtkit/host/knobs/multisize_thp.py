"""Huge pages between 4 KiB and 2 MiB, since Linux 6.8 (Documentation/admin-guide/mm/transhuge.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says, Scope
from virtkit.host.legal import Bracketed

KNOBS = (
    Knob(
        name="mthp.enabled",
        file="/sys/kernel/mm/transparent_hugepage/hugepages-{place}/enabled",
        legal=Bracketed(),
        scope=Scope.THP,
        explain=Says(
            en="Whether memory may be backed with pages of this size; inherit does as thp.enabled says. The smaller"
            " sizes are for programs whose memory comes in pieces too small for 2 MiB, above all on arm64. A"
            " machine's memory is one large piece: leave the small sizes at never, and 2048kB at inherit.",
            zh="是否允许用该尺寸的页承载内存；inherit 表示跟随 thp.enabled。较小的尺寸适合内存零碎、凑不满 2 MiB 的"
            "程序，尤其是 arm64。虚拟机内存是整块的：小尺寸保持 never，2048kB 保持 inherit 即可。",
        ),
        danger=Says(
            en="Sizes without hardware behind them save page faults, and not one step of a page walk.",
            zh="没有硬件支持的尺寸只减少缺页次数，并不缩短页表查找。",
        ),
        evidence=(Evidence("Documentation/admin-guide/mm/transhuge.rst, section on multi-size THP"),),
    ),
)
