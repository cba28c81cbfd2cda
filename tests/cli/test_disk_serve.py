"""``virtkit disk serve`` as a person or a script runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.serving import FUA, READ, WRITE, Client, virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(b"x" * MIB)
    return path


def test_the_printed_uri_is_one_that_others_open(image: Path) -> None:
    with virtkit(image.parent, image.name, "-f", "raw", "--socket", "a b.sock", "--export", "web 1") as (uri, _):
        assert uri.startswith("nbd+unix:///web%201?socket=/")
        assert run("nbdinfo", "--size", uri) == f"{MIB}\n"
        assert f"virtual size: 1 MiB ({MIB} bytes)" in run("qemu-img", "info", "-f", "raw", uri)


def test_json_says_the_same(image: Path) -> None:
    command = [sys.executable, "-m", "virtkit", "disk", "serve", image.name, "-f", "raw", "--once", "--output", "json"]
    process = subprocess.Popen(command, cwd=image.parent, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    said = ""
    while not said.endswith("}\n"):
        said += process.stdout.readline()
    told = json.loads(said)
    assert (told["format"], told["virtual-size"], told["writable"]) == ("raw", MIB, False)
    run("nbdinfo", "--size", told["uri"])
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_order_with_a_client_connected(number: signal.Signals, image: Path) -> None:
    path = image.with_name("nbd.sock")
    with virtkit(image.parent, image.name, "-f", "raw", "--write", "--socket", path.name) as (_, process):
        with Client(path) as client:
            assert client.ask(WRITE, 0, 4, payload=b"told").error == 0
            process.send_signal(number)
            assert process.wait(10) == 0
            with pytest.raises(ConnectionError):
                client.ask(READ, 0, 4)
        assert process.stderr
        assert process.stderr.read() == ""
    assert image.read_bytes()[:4] == b"told"
    assert not path.exists()


def test_once_ends_with_the_last_client(image: Path) -> None:
    path = image.with_name("nbd.sock")
    with virtkit(image.parent, image.name, "-f", "raw", "--once", "--socket", path.name) as (_, process):
        with Client(path):
            with Client(path) as second:
                second.ask(READ, 0, 1)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
        assert process.wait(10) == 0
    assert not path.exists()


def test_others_neither_write_nor_open_for_writing_what_is_served_for_writing(image: Path) -> None:
    with virtkit(image.parent, image.name, "-f", "raw", "--write", "--socket", "nbd.sock") as (_, process):
        command = [sys.executable, "-m", "virtkit", "disk", "serve", str(image), "-f", "raw"]
        other = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        assert other.returncode == 1
        assert f"is in use by virtkit, PID {process.pid}" in other.stderr
        qemu = subprocess.run(["qemu-io", "-f", "raw", str(image)], capture_output=True, text=True, check=False)
        assert "lock" in qemu.stderr


def test_a_port_is_this_hosts_own(image: Path) -> None:
    with virtkit(image.parent, image.name, "-f", "raw", "--port", "0") as (uri, _):
        assert uri.startswith("nbd://127.0.0.1:")
        assert run("nbdinfo", "--size", uri) == f"{MIB}\n"
    command = [sys.executable, "-m", "virtkit", "disk", "serve", str(image), "--port", "10809", "--bind", "0.0.0.0"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert refused.returncode == 2
    assert "try: ssh -L" in refused.stderr


def test_killed_after_a_forced_write_it_has_lost_nothing(image: Path) -> None:
    path = image.with_name("nbd.sock")
    served = virtkit(image.parent, image.name, "-f", "raw", "--write", "--socket", path.name)
    with served as (_, process), Client(path) as client:
        assert client.ask(WRITE, 512, 4, payload=b"kept", flags=FUA).error == 0
        process.kill()
        process.wait()
    assert image.read_bytes()[512:516] == b"kept"
    with virtkit(image.parent, image.name, "-f", "raw", "--socket", path.name) as (uri, _):
        assert run("nbdinfo", "--size", uri) == f"{MIB}\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--discard"], "--discard: gives room back, which needs --write"),
        (["--bind", "127.0.0.1"], "--bind: is the address of a port, which needs --port"),
        (["--port", "65536"], "--port: is 65536, expected at most 65535"),
        (["--export", "x" * 4097], "expected UTF-8 of at most 4096 bytes"),
        (["--export", "\udcff"], "expected UTF-8 of at most 4096 bytes"),
        (["--port", "1", "--socket", "x"], "not allowed with"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], why: str, image: Path) -> None:
    command = [sys.executable, "-m", "virtkit", "disk", "serve", "-f", "raw", str(image), *words]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert refused.returncode == 2
    assert why in refused.stderr


def test_an_image_whose_name_is_no_text_is_served(image: Path) -> None:
    odd = image.rename(image.with_name("odd\udcff.raw"))
    with virtkit(image.parent, odd.name, "-f", "raw", "--socket", "nbd.sock") as (uri, _):
        assert json.loads(run("nbdinfo", "--json", uri))["exports"][0]["export-size"] == MIB
