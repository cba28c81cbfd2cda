"""A server that is killed while clients write: what it called stored is there, and the image is no worse than leaky."""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from support.depth import deep
from support.images import read_by_qemu, run
from support.serving import FUA, WRITE, WRITE_ZEROES, Client, virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

MIB = 1 << 20
SIZE = 32 * MIB
SOUND = {0, 3}  # exit statuses of qemu-img check: clean, leaks
LEAKED = re.compile(r"ERROR: allocated blocks mismatch, is (\d+), should be (\d+)\n")


def write_until_killed(path: Path, number: int, told: dict[int, bytes], chance: random.Random) -> None:
    """Sectors of this client alone, each forced to the disk; those that were acknowledged are in ``told``."""
    with Client(path) as client:
        while True:
            at = (chance.randrange(SIZE // 2048) * 4 + number) * 512
            data = chance.randbytes(512) if chance.random() < 0.8 else bytes(512)
            command = WRITE if any(data) else WRITE_ZEROES
            told.pop(at, None)
            try:
                reply = client.ask(command, at, 512, flags=FUA, payload=data if command == WRITE else b"")
            except ConnectionError:
                return
            assert reply.error == 0
            told[at] = data


def is_sound(image: Path, kind: str) -> bool:
    """QEMU has no word for a VDI that counts more blocks than it has, and calls that too an error."""
    command = ["qemu-img", "check", "-f", kind, str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    leaked = LEAKED.fullmatch(done.stderr)
    return done.returncode in SOUND or bool(leaked and int(leaked[1]) < int(leaked[2]))


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi"])
@pytest.mark.parametrize("seed", range(deep(2)))
def test_what_was_forced_to_the_disk_is_there(kind: str, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    image, path = tmp_path / f"disk.{kind}", tmp_path / "nbd.sock"
    run("qemu-img", "create", "-q", "-f", kind, image, str(SIZE))
    told: list[dict[int, bytes]] = [{} for _ in range(4)]
    with virtkit(tmp_path, image.name, "--write", "--socket", path.name) as (_, process):
        words = [(path, number, told[number], random.Random(chance.random())) for number in range(4)]
        clients = [threading.Thread(target=write_until_killed, args=each) for each in words]
        for client in clients:
            client.start()
        time.sleep(0.1 + chance.random() * 0.4)
        process.kill()
        for client in clients:
            client.join()
    assert is_sound(image, kind)
    content = read_by_qemu(image, kind)
    stored = {at: data for each in told for at, data in each.items()}
    assert stored
    assert all(content[at : at + 512] == data for at, data in stored.items())
