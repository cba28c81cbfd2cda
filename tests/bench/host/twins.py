"""Two like guests and KSM: what it saves, which huge pages that costs, and that nothing stays behind.

By hand, as root: ``PYTHONPATH=src:tests python3 -m bench.host.twins [SECONDS]``. Every step is typed as a person would;
the last line says whether the host is as it was, and is the exit status.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from support.qemu import Machine
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.recipes import guest

KSM = "/sys/kernel/mm/ksm"
SECONDS = 40
_KNOBS = ("run", "advisor_mode", "pages_to_scan", "sleep_millisecs", "merge_across_nodes", "pages_sharing")
_FILL = "cat /dev/vda >/run/like"
_LIKE = 128 * MIB  # that both have in memory


def main(seconds: int) -> int:
    before = _state()
    with TemporaryDirectory() as place, ExitStack() as stack:
        like = Path(place) / "like"
        like.write_bytes(os.urandom(_LIKE))
        machines = [stack.enter_context(_twin(Path(place) / name, like)) for name in ("twin1", "twin2")]
        for machine in machines:
            machine.agent().shell(_FILL)
        state = {"VIRTKIT_STATE_DIR": place}
        _virtkit(state, "ksm", "on", "--runtime", "--plan")
        _virtkit(state, "ksm", "on", "--runtime", "-y")
        _wait(seconds)
        _virtkit(state, "ksm", "status")
        _virtkit(state, "ksm", "off", "--runtime", "-y")
        _virtkit(state, "ksm", "status")
        subprocess.run([sys.executable, "-m", "virtkit", "undo", "-y"], env={**os.environ, **state}, check=True)
        subprocess.run([sys.executable, "-m", "virtkit", "undo", "-y"], env={**os.environ, **state}, check=True)
    after = _state()
    _say(f"before {before}\nafter  {after}\n{'as it was' if before == after else 'NOT AS IT WAS'}")
    return int(before != after)


def _twin(place: Path, like: Path) -> Machine:
    kernel, initramfs = guest.kernel_and_initramfs()
    place.mkdir()
    boot = ["-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet", "-nic", "none"]
    disk = ["-drive", f"file={like},format=raw,if=virtio,readonly=on"]
    return Machine(place, ["-name", f"guest={place.name},debug-threads=on", "-m", "384", *disk, *boot])


def _wait(seconds: int) -> None:
    """Until ksmd has seen all memory three times: once to know it, once to find the like, once more."""
    wanted = int(System().read(f"{KSM}/full_scans")) + 3
    end = time.monotonic() + seconds
    while int(System().read(f"{KSM}/full_scans")) < wanted and time.monotonic() < end:
        time.sleep(0.5)


def _virtkit(state: dict[str, str], *words: str) -> None:
    _say(f"\n$ virtkit host {' '.join(words)}")
    environment = {**os.environ, **state}
    subprocess.run([sys.executable, "-m", "virtkit", "host", *words], env=environment, check="--plan" not in words)


def _state() -> dict[str, str]:
    return {name: System().read(f"{KSM}/{name}") for name in _KNOBS}


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else SECONDS))
