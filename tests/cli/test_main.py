"""How the program ends, for a person, a script and a pipe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from virtkit import __version__

if TYPE_CHECKING:
    from pathlib import Path

VIRTKIT = (sys.executable, "-m", "virtkit")
# a verb of its own: what it does is the test's, how it ends is main's
VERB = """
import sys, types
from virtkit.cli import main
verb = types.ModuleType("virtkit.cli.trial")
exec({source!r}, verb.__dict__)
verb.build = lambda parser, name: parser.set_defaults(run=verb.run)
sys.modules["virtkit.cli.trial"] = verb
main.VERBS["trial"] = ("trial", "a test")
sys.exit(main.main(["trial"]))
"""


def virtkit(*words: str, command: tuple[str, ...] = VIRTKIT, stdout: int = subprocess.PIPE) -> tuple[int, str, str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [*command, *words], env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def trial(source: str) -> tuple[str, ...]:
    return (sys.executable, "-c", VERB.format(source=source))


def test_the_version_is_one_line() -> None:
    assert virtkit("--version") == (0, f"virtkit {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("bogus",), "virtkit --help"),
        (("disk", "bogus"), "virtkit disk --help"),
        (("host", "tune", "web"), "virtkit host tune --help"),
        (("host", "hugepages", "free", "all"), "virtkit host hugepages free --help"),
    ],
    ids=str,
)
def test_wrong_usage_ends_with_2_and_the_help_to_ask_for(words: tuple[str, ...], hint: str) -> None:
    status, out, err = virtkit(*words)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == f"  try: {hint}"


def test_without_a_word_it_shows_what_there_is() -> None:
    status, out, err = virtkit()
    assert (status, err) == (2, "")
    assert all(f"\n    {name} " in out for name in ("disk", "vm", "up", "demo", "undo"))


def test_an_unknown_verb_is_told_the_known_ones() -> None:
    said = virtkit("disk", "bogus")[2]
    words = set(re.findall(r"\w+", said))  # argparse of Python 3.13 no longer quotes them
    assert {"bogus", "info", "map", "convert", "compare", "check", "formats"} <= words


@pytest.mark.parametrize("words", [("disk", "--help"), ("disk", "-h", "info")], ids=str)
def test_help_lists_every_verb(words: tuple[str, ...]) -> None:
    status, out, _ = virtkit(*words)
    assert status == 0
    assert all(f"\n    {verb} " in out for verb in ("info", "map", "convert", "compare", "check", "formats"))


def test_what_is_not_there_ends_with_1(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    assert virtkit("disk", "info", absent) == (1, "", f"virtkit: {absent}: no such file\n")


@pytest.mark.parametrize("words", [("disk", "--help"), ("disk", "formats")], ids=str)
def test_a_reader_that_has_gone_is_no_fault(words: tuple[str, ...]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        status, _, err = virtkit(*words, stdout=write_end)
    finally:
        os.close(write_end)
    assert (status, err) == (0, "")


def test_a_full_disk_under_the_output_is_an_error() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        status, _, err = virtkit("disk", "formats", stdout=full)
    finally:
        os.close(full)
    assert (status, err) == (1, "virtkit: write standard output: no space left on device\n")


def test_a_fault_of_virtkit_itself_shows_its_whole_traceback() -> None:
    source = "def deep(): return 1 // 0\ndef run(args, console): return deep()"
    status, out, err = virtkit(command=trial(source))
    assert (status, out) == (1, "")
    assert err.startswith("Traceback (most recent call last):")
    assert all(f"in {frame}\n" in err for frame in ("main", "run", "deep"))
    assert err.splitlines()[-1].startswith("virtkit: internal error: ZeroDivisionError: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_interrupted_command_ends_with_130(number: signal.Signals) -> None:
    source = "import time\ndef run(args, console): print('works', flush=True); time.sleep(60)"
    with subprocess.Popen(trial(source), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "works\n"
        running.send_signal(number)
        assert running.communicate(timeout=30) == ("", "interrupted\n")
    assert running.returncode == 130


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "status"), [(("--version",), 0), (("disk", "formats"), 0), (("disk", "info", "absent"), 1)]
)
def test_a_closed_stream_is_no_fault(closed: str, words: tuple[str, ...], status: int) -> None:
    found = virtkit(*words, command=("sh", "-c", f'exec "$@" {closed}', "sh", *VIRTKIT))
    assert (found[0], "Traceback" in found[2]) == (status, False)
