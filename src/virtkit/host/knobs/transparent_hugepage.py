"""Transparent huge pages: big pages behind memory, unasked (Documentation/admin-guide/mm/transhuge.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Bracketed

_HERE = "random walk of 1 GiB by one thread, 3 rounds, 2 CPUs, kernel 6.18"

KNOBS = (
    Knob(
        name="thp.enabled",
        file="/sys/kernel/mm/transparent_hugepage/enabled",
        legal=Bracketed(),
        parameter="transparent_hugepage={value}",
        resets=("vm.min_free_kbytes",),
        explain=Says(
            en="Whose memory is backed with 2 MiB pages: that of all programs, of those that ask (madvise), or of"
            " none. QEMU asks for its machines' memory, so madvise is enough for them and leaves databases on the"
            " host alone. Huge pages make the walk through the guest's and the host's page tables shorter. Choose"
            " never only where machines have hugetlb pages of their own and no pause may be left to chance.",
            zh="哪些程序的内存由 2 MiB 大页承载：所有程序（always）、主动请求的程序（madvise），或者一个也不（never）"
            "。QEMU 会为虚拟机内存发出请求，因此 madvise 对虚拟机已经足够，又不影响主机上的数据库。大页缩短了客户机与"
            "主机两级页表的查找。只有虚拟机已使用专属的 hugetlb 页、且不容许任何偶发停顿时，才选 never。",
        ),
        danger=Says(
            en="always: programs that touch little of each 2 MiB take more memory (Redis), and KSM splits what it"
            " merges.",
            zh="always：对每个 2 MiB 只触及少量内存的程序会占用更多内存（如 Redis）；KSM 合并时又会把大页拆开。",
        ),
        evidence=(
            Evidence("measured", "341, 403, 335 ns a step with 4 KiB pages; 251, 234, 194 ns with THP", _HERE),
            Evidence("measured", "never -> always made vm.min_free_kbytes another", "kernel 6.1 in a guest of 512 MiB"),
            Evidence("Intel document 749114", "about 3 % faster, 70 % fewer EPT violations"),
            Evidence("Red Hat Enterprise Linux 6 documentation", "up to 20 % in guests"),
        ),
    ),
    Knob(
        name="thp.defrag",
        file="/sys/kernel/mm/transparent_hugepage/defrag",
        legal=Bracketed(),
        explain=Says(
            en="What a program that touches new memory waits for when no huge page is free. always and madvise make"
            " it wait while memory is compacted, defer leaves that to kswapd and kcompactd, defer+madvise waits only"
            " for those who asked. madvise suits machines that must get huge pages at their start; defer+madvise"
            " suits many small ones.",
            zh="没有空闲大页时，首次触及内存的程序要等什么。always 和 madvise 让它等待内存规整；defer 交给 kswapd 与"
            " kcompactd 在后台完成；defer+madvise 只让主动请求者等待。启动时就要拿到大页的虚拟机适合 madvise；大量小虚"
            "拟机适合 defer+madvise。",
        ),
        danger=Says(
            en="always: any program may stall for milliseconds in direct compaction.",
            zh="always：任何程序都可能因直接规整而停顿数毫秒。",
        ),
        evidence=(Evidence("Documentation/admin-guide/mm/transhuge.rst, section on defrag"),),
    ),
    Knob(
        name="thp.shmem_enabled",
        file="/sys/kernel/mm/transparent_hugepage/shmem_enabled",
        legal=Bracketed(),
        parameter="transparent_hugepage_shmem={value}",
        explain=Says(
            en="The same for shared memory: machines with vhost-user, virtiofs or a memfd behind them have theirs"
            " there, and thp.enabled does nothing for it. advise gives huge pages to those who ask.",
            zh="对共享内存的同一设置：使用 vhost-user、virtiofs 或 memfd 的虚拟机，其内存就在这里，thp.enabled 对它不"
            "起作用。advise 只为主动请求者提供大页。",
        ),
        danger=Says(
            en="force and deny are for tests: they overrule what each mount asks for.",
            zh="force 与 deny 仅供测试：它们会推翻各挂载点自己的设置。",
        ),
        evidence=(Evidence("Documentation/admin-guide/mm/transhuge.rst, section on shmem_enabled"),),
    ),
)
