from __future__ import annotations

from typing import TYPE_CHECKING

from host.trees import CPUS, planted
from virtkit.core.system import System
from virtkit.host.commandline import read_command_line
from virtkit.host.kernel import Kernel

if TYPE_CHECKING:
    from pathlib import Path


def test_quotes_keep_white_space_and_the_first_program_s_words_are_not_the_kernel_s(tmp_path: Path) -> None:
    text = 'ro dyndbg="file a.c +p" hugepagesz=2M  hugepages=8 hugepagesz=1G -- hugepages=1\n'
    line = read_command_line(planted(tmp_path, {"/proc/cmdline": text}))
    assert line.words == ("ro", 'dyndbg="file a.c +p"', "hugepagesz=2M", "hugepages=8", "hugepagesz=1G")
    assert line.values("dyndbg") == ("file a.c +p",)
    assert line.values("hugepagesz") == ("2M", "1G")
    assert (line.values("ro"), line.values("rw")) == (("",), ())


def test_dashes_and_underscores_are_one_in_names(tmp_path: Path) -> None:
    line = read_command_line(planted(tmp_path, {"/proc/cmdline": "kvm-intel.nested=1 a_b=c-d"}))
    assert (line.values("kvm_intel.nested"), line.values("a-b")) == (("1",), ("c-d",))


def test_cpus_that_are_set_apart_are_read_where_the_kernel_has_them(tmp_path: Path) -> None:
    kernel = planted(tmp_path, {f"{CPUS}/isolated": "2-3,6\n", f"{CPUS}/nohz_full": "(null)\n"})
    line = read_command_line(kernel)
    assert (line.isolated, line.nohz_full, kernel.doubts) == (frozenset({2, 3, 6}), frozenset(), [])


def test_this_host_s_line_is_the_kernel_s() -> None:
    with open("/proc/cmdline", encoding="utf-8") as file:
        text = file.read()
    words = read_command_line(Kernel(System())).words
    assert " ".join(text.split()).startswith(" ".join(words))
