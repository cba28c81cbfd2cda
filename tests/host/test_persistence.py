from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.imitation import FILES, THP, imitation
from host.trees import plant, planted
from virtkit import host
from virtkit.core import engine
from virtkit.core.errors import NotSupportedError, RolledBackError, UndoIncompleteError
from virtkit.core.journal import Journal
from virtkit.core.system import System
from virtkit.host.actions import PersistKnobs
from virtkit.host.dropins import fragments
from virtkit.host.keeping import Keeping
from virtkit.host.kept import HEADER, Rehearsed
from virtkit.host.kernel import Kernel
from virtkit.host.knob import Evidence, Knob, Says, Scope, Setting
from virtkit.host.legal import Bracketed, Range
from virtkit.host.persistence.cmdline import merged

SAID = Says("what it does", "作用")
SWAPPINESS = Setting(Knob("vm.swappiness", "/proc/sys/vm/swappiness", Range(0, 200), SAID, (Evidence("x"),)))
TABLES = Setting(Knob("br", "/proc/sys/net/ipv4/conf/br0.1/rp_filter", Range(0, 2), SAID, (Evidence("x"),)))
SCHEDULER = Setting(
    Knob("s", "/sys/block/{place}/queue/scheduler", Bracketed(), SAID, (Evidence("x"),), scope=Scope.DISK), "vda"
)
POLL = Setting(Knob("p", "/sys/module/kvm/parameters/halt_poll_ns", Range(0, 10**6), SAID, (Evidence("x"),)))
ENABLED = Setting(
    Knob("thp", f"{THP}/enabled", Bracketed(), SAID, (Evidence("x"),), parameter="transparent_hugepage={value}")
)
SLICE = Setting(
    Knob(
        "m", "/sys/fs/cgroup/m/cpuset.cpus", Range(0, 9), SAID, (Evidence("x"),), unit="machine.slice Slice AllowedCPUs"
    )
)
HOST = FILES | {
    "/proc/sys/vm/swappiness": "60",
    "/sys/block/vda/queue/scheduler": "[none] mq-deadline",
    "/sys/block/vda/queue/rotational": "1",
    "/sys/module/kvm/parameters/halt_poll_ns": "200000",
    "/proc/modules": "kvm 1000 0 - Live 0x0",
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"',
    "/etc/default/grub.d/x": "",
    "/etc/systemd/system/multi-user.target.wants/tuned.service": "",
    "/usr/sbin/grub-mkconfig": "for x in ${sysconfdir}/default/grub.d/*.cfg ; do",
    "/usr/sbin/update-grub": "",
}
KINDS = {
    "sysctl": (SWAPPINESS, "/etc/sysctl.d/60-virtkit-memory.conf", "vm.swappiness = 7"),
    "tmpfiles": (ENABLED, "/etc/tmpfiles.d/60-virtkit-memory.conf", f"w {THP}/enabled - - - - 7"),
    "udev": (
        SCHEDULER,
        "/etc/udev/rules.d/60-virtkit-memory.rules",
        'ACTION=="add|change", SUBSYSTEM=="block", KERNEL=="vda", ATTR{queue/scheduler}="7"',
    ),
    "modprobe": (POLL, "/etc/modprobe.d/60-virtkit-memory.conf", "options kvm halt_poll_ns=7"),
    "cmdline": (
        ENABLED,
        "/etc/default/grub.d/60-virtkit-memory.cfg",
        'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT transparent_hugepage=7"',
    ),
    "unit": (SLICE, "/etc/systemd/system/machine.slice.d/60-virtkit-memory.conf", "AllowedCPUs=7"),
    "tuned": (SWAPPINESS, "/etc/tuned/virtkit/tuned.conf", "vm.swappiness=7"),
}


def winner(system: System, setting: Setting) -> tuple[str, str] | None:
    kept = Keeping(Kernel(system)).winner(setting)
    return kept and (kept.value, kept.where)


@pytest.mark.parametrize("name", KINDS)
def test_what_a_kind_writes_it_reads_and_a_boot_ends_with_it(name: str, tmp_path: Path) -> None:
    setting, path, line = KINDS[name]
    kernel = planted(tmp_path, HOST)
    kind = Keeping(kernel).kinds[name]
    first = kind.files(kernel, "memory", {setting.name: (setting, "7")})
    assert first[0].path == path
    lines = first[0].text.splitlines()
    assert line in lines
    assert "virtkit undo" in "\n".join(lines[:2])
    texts = {file.path: file.text for file in first}
    kept = Keeping(Rehearsed(kernel.system, texts)).winner(setting)
    assert kept == (setting.name, "7", kind.title, f"{path}:{lines.index(line) + 1}")
    plant(tmp_path, texts)
    second = kind.files(kernel, "memory", {setting.name: (setting, "8")})
    assert second[0].text == first[0].text.replace("7", "8")


def test_every_kind_is_tried_here() -> None:
    assert set(KINDS) == set(Keeping(Kernel(System())).kinds)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/sysctl.d/50-a.conf": "vm.swappiness=1", "/usr/lib/sysctl.d/60-b.conf": "vm.swappiness=2"}, "2"),
        ({"/etc/sysctl.d/a.conf": "vm.swappiness=1", "/usr/lib/sysctl.d/a.conf": "vm.swappiness=2"}, "1"),
        ({"/etc/sysctl.d/a.conf": "vm/swappiness = 3\n", "/etc/sysctl.d/z.conf": "vm.*=9"}, "3"),
        ({"/etc/sysctl.d/a.conf": "\n\n;vm.swappiness=4\n# vm.swappiness=5\n-vm.swappiness=6"}, "6"),
        ({"/etc/sysctl.d/a.txt": "vm.swappiness=1"}, None),
    ],
)
def test_sysctl_files_are_read_in_their_order(files: dict[str, str], expected: str | None, tmp_path: Path) -> None:
    found = winner(plant(tmp_path, files), SWAPPINESS)
    assert (found and found[0]) == expected


def test_a_dot_in_the_name_of_a_link_is_no_separator(tmp_path: Path) -> None:
    system = plant(tmp_path, {"/etc/sysctl.d/a.conf": "net.ipv4.conf.br0/1.rp_filter=2"})
    assert winner(system, TABLES) == ("2", "/etc/sysctl.d/a.conf:1")


@pytest.mark.skipif(not os.path.exists("/usr/lib/systemd/systemd-sysctl"), reason="needs systemd")
def test_this_hosts_sysctl_files_are_those_that_systemd_reads() -> None:
    command = ["/usr/lib/systemd/systemd-sysctl", "--cat-config"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    heads = [line.removeprefix("# ") for line in said.splitlines() if line.startswith("# /")]
    assert [path for path in heads if os.path.exists(path)] == fragments(Kernel(System()), "sysctl.d")


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="needs systemd")
@pytest.mark.parametrize(
    "files",
    [
        {"/etc/tmpfiles.d/50-a.conf": ["/sys/x 1"], "/etc/tmpfiles.d/60-b.conf": ["/sys/x 2"]},
        {"/etc/tmpfiles.d/a.conf": ["/sys/x 1"], "/usr/lib/tmpfiles.d/a.conf": ["/sys/x 2"]},
        {"/etc/tmpfiles.d/a.conf": ["/sys/x 1", "/sys/x 2"], "/usr/lib/tmpfiles.d/z.conf": ["/sys/* 3"]},
        {"/usr/lib/tmpfiles.d/a.conf": ["/sys/* 3"], "/etc/tmpfiles.d/b.conf": ["/sys/x 2"]},
        {"/usr/lib/tmpfiles.d/a.conf": ["/sys/* 3", "/sys/* 4"], "/etc/tmpfiles.d/b.conf": ["/sys/?* 2"]},
    ],
)
def test_the_line_that_wins_is_the_one_that_systemd_writes(files: dict[str, list[str]], tmp_path: Path) -> None:
    texts = {
        path: "".join("w {} - - - - {}\n".format(*line.split()) for line in lines) for path, lines in files.items()
    }
    system = plant(tmp_path, texts | {"/sys/x": "0"})
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create"], check=True, capture_output=True)
    x = Setting(Knob("x", "/sys/x", Range(0, 9), SAID, (Evidence("x"),)))
    found = winner(system, x)
    assert found
    assert found[0] == system.read("/sys/x")


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ('KERNEL=="vd*", ATTR{queue/scheduler}="none"', "none"),
        ('KERNEL=="sd*|vda", ATTR{queue/rotational}=="1", ATTR{queue/scheduler}="bfq"', "bfq"),
        ('KERNEL=="vda", ATTR{queue/rotational}=="0", ATTR{queue/scheduler}="bfq"', None),
        ('KERNEL=="sd*", ATTR{queue/scheduler}="bfq"', None),
        ('SUBSYSTEM=="net", ATTR{queue/scheduler}="bfq"', None),
        ('# KERNEL=="vda", ATTR{queue/scheduler}="bfq"', None),
        ('KERNEL=="vda", ATTR{queue/scheduler}=="none", ATTR{queue/nr_requests}="9"', None),
    ],
)
def test_a_rule_of_udev_counts_where_its_terms_hold(rule: str, kept: str | None, tmp_path: Path) -> None:
    found = winner(plant(tmp_path, HOST | {"/usr/lib/udev/rules.d/70-x.rules": rule}), SCHEDULER)
    assert (found and found[0]) == kept


WORDS = st.lists(st.sampled_from(["quiet", "a=1", "a=2", "b", "transparent_hugepage=always", "c=x"]), max_size=6)


@given(WORDS)
def test_a_parameter_is_on_the_command_line_once_and_the_others_stay(words: list[str]) -> None:
    found = merged(" ".join(words), ["transparent_hugepage=never"]).split()
    assert [word for word in found if word.startswith("transparent")] == ["transparent_hugepage=never"]
    assert [word for word in found if not word.startswith("transparent")] == [
        word for word in words if not word.startswith("transparent")
    ]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "_DEFAULT"]), st.booleans(), WORDS), max_size=3))
def test_grubs_words_are_those_that_a_shell_makes_of_its_files(parts: list[tuple[str, bool, list[str]]]) -> None:
    lines = []
    for kind, keeps, words in parts:
        variable = f"GRUB_CMDLINE_LINUX{kind}"
        lines.append(f'{variable}="{" ".join([f"${variable}"] * keeps + words)}"')
    script = "\n".join([*lines, 'echo "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"'])
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    with TemporaryDirectory() as root:
        files = {f"/etc/default/grub.d/{number}.cfg": line for number, line in enumerate(lines)}
        kernel = planted(Path(root), {"/usr/sbin/grub-mkconfig": "default/grub.d"} | files)
        found = Keeping(kernel).kinds["cmdline"].entries(kernel)
    assert [f"{entry.key}={entry.value}" if entry.value else entry.key for entry in found] == said


def test_entries_of_the_boot_loader_specification_are_changed_in_place(tmp_path: Path) -> None:
    entry = "/boot/loader/entries/x.conf"
    files = {
        entry: "title X\nlinux /vmlinuz\noptions root=/dev/vda1 quiet\n",
        "/etc/kernel/cmdline": "root=/dev/vda1\n",
    }
    kernel = planted(tmp_path, files)
    made = Keeping(kernel).kinds["cmdline"].files(kernel, "memory", {"thp": (ENABLED, "never")})
    assert [tuple(file) for file in made] == [
        (entry, "title X\nlinux /vmlinuz\noptions root=/dev/vda1 quiet transparent_hugepage=never\n", ()),
        ("/etc/kernel/cmdline", "root=/dev/vda1 transparent_hugepage=never\n", ()),
    ]
    plant(tmp_path, {entry: "options $kernelopts\n"})
    with pytest.raises(NotSupportedError, match="no variable") as refused:
        Keeping(kernel).kinds["cmdline"].files(kernel, "memory", {"thp": (ENABLED, "never")})
    assert refused.value.hint == "grubby --update-kernel=ALL --args='transparent_hugepage=never'"


def test_a_profile_of_tuned_is_read_with_those_that_it_includes(tmp_path: Path) -> None:
    files = {
        "/etc/tuned/active_profile": "mine",
        "/etc/tuned/mine/tuned.conf": "[main]\ninclude=base\n[sysfs]\n/sys/block/v*/queue/scheduler=none\n",
        "/usr/lib/tuned/base/tuned.conf": "[sysctl]\nvm.swappiness=10\n[vm]\ntransparent_hugepages=always\n"
        "[vm.arm]\ntype=vm\nuname_regex=aarch64\ntransparent_hugepages=never\n",
        "/etc/sysctl.d/99-late.conf": "vm.swappiness = 60\n",
    }
    system = plant(tmp_path, files)
    assert winner(system, SWAPPINESS) == ("60", "/etc/sysctl.d/99-late.conf:1")
    plant(tmp_path, {"/etc/systemd/system/multi-user.target.wants/tuned.service": "[Service]"})
    assert winner(system, SWAPPINESS) == ("10", "/usr/lib/tuned/base/tuned.conf:2")
    assert winner(system, ENABLED) == ("always", "/usr/lib/tuned/base/tuned.conf:4")
    assert winner(system, SCHEDULER) == ("none", "/etc/tuned/mine/tuned.conf:4")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


SYSTEMD = {"/usr/lib/tmpfiles.d/x.conf": ""}


def test_a_knob_is_kept_and_comes_back_to_the_byte(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path / "host", FILES | SYSTEMD)
    path = "/etc/tmpfiles.d/60-virtkit-transparent-hugepage.conf"
    first = engine.run(host.set_knobs(system, {"thp.enabled": "never"}), system, journal)
    assert not host.set_knobs(system, {"thp.enabled": "never"})
    system.path(path).chmod(0o640)
    kept = system.path(path).read_bytes()
    second = engine.run(host.set_knobs(system, {"thp.defrag": "defer"}, run_time=False), system, journal)
    assert b"defrag - - - - defer" in system.path(path).read_bytes()
    assert system.read(f"{THP}/defrag") == FILES[f"{THP}/defrag"]
    engine.undo(journal, second, system)
    assert system.path(path).read_bytes() == kept
    assert system.path(path).stat().st_mode & 0o777 == 0o640
    engine.undo(journal, first, system)
    assert not system.exists("/etc")


def test_what_another_file_would_overwrite_at_boot_is_refused_with_its_line(tmp_path: Path) -> None:
    late = "/etc/tmpfiles.d/10-early.conf"
    system = imitation(tmp_path, FILES | SYSTEMD | {late: f"#\nw {THP}/enabled - - - - always"})
    with pytest.raises(NotSupportedError, match=f"{late}:2 sets thp.enabled to always and is read later") as refused:
        host.set_knobs(system, {"thp.enabled": "never"})
    assert "--runtime thp.enabled=never" in refused.value.hint
    assert host.set_knobs(system, {"thp.enabled": "never"}, persistent=False)


def test_where_nothing_keeps_it_the_way_without_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotSupportedError, match="nothing on this host keeps") as refused:
        host.set_knobs(imitation(tmp_path), {"thp.enabled": "never"})
    assert "--runtime" in refused.value.hint


def test_tuned_is_not_fought_but_given_a_profile(tmp_path: Path, journal: Journal) -> None:
    tuned = {
        "/proc/77/comm": "tuned",
        "/etc/tuned/active_profile": "virtual-host",
        "/etc/tuned/profile_mode": "auto",
        "/usr/lib/tuned/virtual-host/tuned.conf": "[vm]\ntransparent_hugepages=always\n",
    }
    system = imitation(tmp_path / "host", FILES | SYSTEMD | tuned)
    plan = host.set_knobs(system, {"thp.enabled": "never", "thp.defrag": "defer"})
    assert any("tuned runs with profile virtual-host" in note for note in plan.notes)
    number = engine.run(plan, system, journal)
    assert system.read("/etc/tuned/active_profile") == "virtkit"
    assert system.read("/etc/tuned/profile_mode") == "manual"
    assert winner(system, ENABLED) == ("never", "/etc/tuned/virtkit/tuned.conf:7")
    assert not host.set_knobs(system, {"thp.enabled": "never", "thp.defrag": "defer"})
    engine.undo(journal, number, system)
    assert system.read("/etc/tuned/active_profile") == "virtual-host"
    assert not system.exists("/etc/tuned/virtkit")


def test_the_header_says_who_wrote_it_and_how_to_take_it_back() -> None:
    assert "virtkit" in HEADER[0]
    assert "virtkit undo" in HEADER[1]


DIRTY = {"/proc/sys/vm/dirty_bytes": "0", "/proc/sys/vm/dirty_ratio": "20", "/etc/sysctl.d/README": ""}


def test_of_two_rivals_a_file_keeps_the_last_that_was_set(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path / "host", DIRTY)
    wished = ({"vm.dirty_bytes": "64M"}, {"vm.dirty_ratio": "30"}, {"vm.dirty_bytes": "32M"})
    numbers = [engine.run(host.set_knobs(system, wishes), system, journal) for wishes in wished]
    assert system.read("/etc/sysctl.d/60-virtkit-writeback.conf").splitlines()[2:] == ["vm.dirty_bytes = 33554432"]
    assert [(verdict.name, verdict.drift) for verdict in host.verify(system, journal)] == [("vm.dirty_bytes", ())]
    for number in reversed(numbers):
        engine.undo(journal, number, system)
    assert system.read("/proc/sys/vm/dirty_ratio") == "20"
    assert system.names("/etc/sysctl.d") == ["README"]


def test_of_two_rivals_a_profile_of_tuned_keeps_the_last(tmp_path: Path) -> None:
    profile = "[main]\ninclude=x\n[sysctl]\nvm.swappiness=1\nvm.dirty_ratio=9\n[vm]"
    tuned = {"/proc/7/comm": "tuned", "/etc/tuned/active_profile": "virtkit", "/etc/tuned/virtkit/tuned.conf": profile}
    plan = host.set_knobs(imitation(tmp_path, DIRTY | tuned), {"vm.dirty_bytes": "64M"}, run_time=False)
    action = plan.actions[0]
    assert isinstance(action, PersistKnobs)
    assert action.text == "[main]\ninclude=x\n[sysctl]\nvm.dirty_bytes=67108864\nvm.swappiness=1\n[vm]\n"


def test_a_rival_that_another_file_sets_later_is_refused(tmp_path: Path) -> None:
    system = imitation(tmp_path, DIRTY | {"/etc/sysctl.d/99-site.conf": "vm.dirty_ratio = 30"})
    with pytest.raises(NotSupportedError, match="99-site.conf:1 sets vm.dirty_ratio to 30 and is read later"):
        host.set_knobs(system, {"vm.dirty_bytes": "64M"})


def test_what_the_kernel_sets_anew_stands_behind_it_in_the_file_as_well(tmp_path: Path, journal: Journal) -> None:
    queue = "/sys/block/vda/queue"
    files = {f"{queue}/scheduler": "[none] bfq", f"{queue}/nr_requests": "128", "/sys/block/vda/size": "8"}
    system = imitation(tmp_path / "host", files | {"/etc/udev/rules.d/x": ""})
    engine.run(host.set_knobs(system, {"block.nr_requests": "64"}, run_time=False), system, journal)
    engine.run(host.set_knobs(system, {"block.scheduler": "bfq"}, run_time=False), system, journal)
    rules = system.read("/etc/udev/rules.d/60-virtkit-block.rules").splitlines()[2:]
    assert [rule.rpartition("ATTR")[2] for rule in rules] == ['{queue/scheduler}="bfq"', '{queue/nr_requests}="64"']


def test_changes_that_share_a_file_are_undone_in_any_order(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path / "host", FILES | SYSTEMD)
    path = "/etc/tmpfiles.d/60-virtkit-transparent-hugepage.conf"
    wished = ({"thp.enabled": "never"}, {"thp.defrag": "defer"}, {"thp.enabled": "always"})
    first, second, third = (engine.run(host.set_knobs(system, wishes), system, journal) for wishes in wished)
    with pytest.raises(UndoIncompleteError, match="does not say any more: w .*/enabled - - - - never"):
        engine.undo(journal, first, system)
    engine.undo(journal, third, system)
    engine.undo(journal, first, system)
    assert system.read(path).splitlines()[2:] == [f"w {THP}/defrag - - - - defer"]
    engine.undo(journal, second, system)
    assert not system.exists(path)
    assert {name: system.read(name) for name in FILES} == FILES


def test_a_file_that_was_changed_since_the_plan_was_made_is_not_overwritten(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path / "host", FILES | SYSTEMD)
    plan = host.set_knobs(system, {"thp.enabled": "never"})
    engine.run(host.set_knobs(system, {"thp.defrag": "defer"}), system, journal)
    with pytest.raises(RolledBackError, match="was changed since the plan was made"):
        engine.run(plan, system, journal)
