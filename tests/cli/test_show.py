"""What is shown where the terminal's encoding does not have our signs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SHOW = "from virtkit.cli.show import Console; console = Console(); "


def shown(program: str, encoding: str) -> tuple[str, str]:
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", SHOW + program], env=env, capture_output=True, check=True, timeout=60)
    return done.stdout.decode(encoding), done.stderr.decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "text"), [("ascii", "ok x \\xe9"), ("latin-1", "ok x é"), ("utf-8", "✓ ✗ é")], ids=str
)
def test_signs_have_stand_ins_where_the_encoding_lacks_them(encoding: str, text: str) -> None:
    assert shown("console.line('✓ ✗ é'); console.note('✓ ✗ é')", encoding) == (f"{text}\n", f"{text}\n")


def test_a_name_that_is_not_utf_8_is_shown_by_its_bytes() -> None:
    assert shown("console.line('a\\udcffb')", "utf-8")[0] == "a\\udcffb\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize("value", ["✓ é", "a\udcffb"], ids=ascii)
def test_json_keeps_its_values_in_every_encoding(value: str, encoding: str) -> None:
    assert json.loads(shown(f"console.data({value!a})", encoding)[0]) == value


def test_a_table_is_drawn_in_ascii() -> None:
    out, _ = shown("console.table(('', 'what'), [('✓', 'one'), ('✗', 'two')])", "ascii")
    assert [line.split() for line in out.splitlines()[1:]] == [["ok", "one"], ["x", "two"]]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_bars_and_boxes_on_a_terminal_keep_to_its_encoding(encoding: str) -> None:
    program = (
        "from virtkit.core.progress import Started, Advanced, Finished\n"
        "with console.progress() as report:\n"
        "    report(Started('copy', 10)); report(Advanced('copy', 5)); report(Finished('copy'))\n"
        "console.table(('a',), [('b',)])\n"
    )
    ours, theirs = os.openpty()
    env = {**os.environ, "PYTHONIOENCODING": encoding, "TERM": "xterm"}
    said = b""
    with subprocess.Popen([sys.executable, "-c", SHOW + "\n" + program], env=env, stdout=theirs, stderr=theirs) as done:
        os.close(theirs)
        try:
            while more := os.read(ours, 65536):
                said += more
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(ours)
    assert done.returncode == 0
    assert said.decode(encoding).count({"ascii": "ok copy", "utf-8": "✓ copy"}[encoding]) == 1
