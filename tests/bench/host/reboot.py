"""A Debian with systemd and GRUB is tuned, rebooted, verified, and put back: what our files keep, they keep.

By hand, as root, ten minutes under TCG: ``PYTHONPATH=src:tests python -m bench.host.reboot DIRECTORY``. The directory
keeps the disk's tree (mmdebstrap, 500 MB) for the next time, and a record of the host before all that.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import rich

import virtkit
from support.qemu import Agent, Machine

PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "kmod", "procps", "python3-minimal", "libpython3-stdlib"),
    *("linux-image-cloud-amd64", "initramfs-tools", "grub-pc", "qemu-guest-agent"),
)
DISK_MIB, FIRST_MIB = 2048, 1  # GRUB's own part stands in front of the file system
MACHINE = ("-cpu", "EPYC,+svm,+npt", "-m", "1024", "-smp", "4")
BOOTED = 400.0  # seconds under TCG, on a busy machine
AWAY = "systemd-run --on-active=1 systemctl {} >/dev/null 2>&1"  # after the agent has answered
BOOT = "cat /proc/sys/kernel/random/boot_id"
SETTLED = 90.0  # seconds until udev and tmpfiles are done

WISHES = (  # at least one for each kind of file
    *("vm.swappiness=10", "vm.dirty_bytes=268435456", "vm.dirty_background_bytes=67108864", "vm.stat_interval=10"),
    *(
        "thp.enabled=madvise",
        "thp.defrag=defer+madvise",
        "khugepaged.max_ptes_none=0",
        "ksm.run=1",
        "ksm.sleep_millisecs=50",
    ),
    *("hugepages.2M@0=16", "cpu.resume_latency_us@1=20"),
    *("block.scheduler@vda=mq-deadline", "block.nr_requests@vda=64", "block.read_ahead_kb@vda=4096"),
)
AT_BOOT = (
    "cpu.isolated=3",
    "cpu.mitigations=auto,nosmt",
    "kvm.halt_poll_ns=50000",
    "kvm_amd.nested=0",
    "slice.system.cpus=0-2",
)


def main(place: Path) -> int:
    root = place / "root"
    if not (root / "usr/bin/python3").exists():
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", root],
            check=True,
        )
    disk = _disk(place, root)
    _install_grub(place, root, disk)
    with Machine(place, [*MACHINE, "-drive", f"if=virtio,format=raw,file={disk}"]) as machine:
        agent = machine.agent(BOOTED)
        before = _knobs(agent)
        _virtkit(agent, "host facts --save host.json")
        (place / "host.json").write_text(agent.shell("cat /root/host.json"))
        _say(_virtkit(agent, f"host set {' '.join(WISHES)} -y"))
        _say(_virtkit(agent, f"host set --persistent {' '.join(AT_BOOT)} -y"))
        _say(_virtkit(agent, "host verify"))
        _reboot(agent)
        verified = _virtkit(agent, "host verify")
        _say(f"after the reboot:\n{verified}")
        clean = "✓ all is as wanted" in verified
        for number in (2, 1):
            _say(_virtkit(agent, f"undo {number} -y"))
        _reboot(agent)
        after = _knobs(agent)
    changed = [f"{name}: {value} -> {after.get(name)}" for name, value in before.items() if after.get(name) != value]
    _say(f"undone and rebooted: {len(before) - len(changed)} of {len(before)} knobs are as before; not: {changed}")
    return 0 if clean and not changed else 1


def _disk(place: Path, root: Path) -> Path:
    """One partition with the tree, with today's virtkit in it."""
    for package in (virtkit, rich):
        target = root / "opt" / package.__name__
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(Path(str(package.__file__)).parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "etc/fstab").write_text("/dev/vda1 / ext4 defaults 0 1\n")
    (root / "etc/default/grub").write_text(
        'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX="console=ttyS0"\nGRUB_TERMINAL=serial\n'
    )
    (root / "etc/modules-load.d/kvm.conf").write_text("kvm_amd\n")
    disk = place / "disk.raw"
    disk.unlink(missing_ok=True)
    with disk.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    table = f"label: dos\nstart={FIRST_MIB}MiB, type=83, bootable\n"
    subprocess.run(["sfdisk", "--quiet", disk], input=table, text=True, check=True)
    features = "^metadata_csum_seed,^orphan_file"  # the GRUB of Debian 12 does not know them
    size = f"{DISK_MIB - FIRST_MIB}M"
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-O", features, "-d", root, "-E", f"offset={FIRST_MIB << 20}", disk, size],
        check=True,
    )
    return disk


def _install_grub(place: Path, root: Path, disk: Path) -> None:
    kernel, initramfs = (root / name for name in ("vmlinuz", "initrd.img"))
    boot = (
        "-kernel",
        str(kernel.resolve()),
        "-initrd",
        str(initramfs.resolve()),
        "-append",
        "root=/dev/vda1 console=ttyS0",
    )
    with Machine(place, [*MACHINE, *boot, "-drive", f"if=virtio,format=raw,file={disk}"]) as machine:
        agent = machine.agent(BOOTED)
        agent.shell("grub-install /dev/vda >/dev/null 2>&1 && update-grub >/dev/null 2>&1 && sync")
        agent.shell(AWAY.format("poweroff"))
        machine.wait_for_end(BOOTED)


def _reboot(agent: Agent) -> None:
    boot = agent.shell(BOOT)
    agent.shell(AWAY.format("reboot"))
    until = time.monotonic() + BOOTED
    while time.monotonic() < until:
        time.sleep(2)
        with suppress(TimeoutError):  # it was just going down
            if agent.answers() and agent.shell(BOOT) != boot:
                agent.shell(f"timeout {SETTLED:.0f} systemctl is-system-running --wait || true")
                return
    raise TimeoutError(f"the guest did not come back within {BOOTED:g} s")


def _virtkit(agent: Agent, words: str) -> str:
    return agent.shell(f"cd /root; PYTHONPATH=/opt LC_ALL=C.UTF-8 python3 -m virtkit {words} 2>&1 || true")


def _knobs(agent: Agent) -> dict[str, str]:
    import json

    rows = json.loads(_virtkit(agent, "host knobs --output json"))
    return {row["name"]: row["now"] for row in rows if not row["name"].startswith("irq.affinity")}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
