from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import others
from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.ifcfg.shell import Line, assignment, quoted, read

if TYPE_CHECKING:
    from pathlib import Path

PIECES = [
    "DEVICE=eth0",
    "# comment \\",
    "IPADDR='1.2.3.4' # why",
    'NAME="',
    "export A=b",
    "B=a\\",
    "x",
    "\\",
    "A=$(date)",
]
texts = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES)).map("\n".join),
    st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")),
)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@given(texts)
def test_every_byte_comes_back(text: str) -> None:
    assert "".join(line.raw for line in read("f", text).lines) == text


@given(printable)
def test_what_is_written_is_read_back(value: str) -> None:
    (line,) = read("f", assignment("KEY", value)).lines
    assert (line.key, line.value) == ("KEY", value)


@given(printable, st.sampled_from(["{}", "'{}'", '"{}"', "$'{}'", "{} # x", "a{}b", "'a'{}\"b\""]))
@settings(max_examples=150)
def test_value_is_what_bash_makes_of_it_or_not_known(text: str, form: str) -> None:
    if not shutil.which("bash"):
        pytest.skip("needs bash, to compare with")
    raw = f"KEY={form.format(text)}\n"
    (first, *_) = read("f", raw).lines
    if first.value is None or "~" in raw:  # a tilde is a home directory to bash, and none in a network's settings
        return
    script = f'{raw}\nprintf %s "$KEY"'
    found = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, first.value)


@pytest.mark.parametrize("raw", ['NAME="', "A=$HOME", "A=`id`", "A=b c", "A=(1 2)", "A=b;c", "A=b&", 'A="$B"'])
def test_what_only_a_shell_knows_is_said_to_be_so(raw: str) -> None:
    file = read("/x", raw + "\n")
    assert file.lines[0].value is None
    with pytest.raises(NotSupportedError, match=r"/x: (A|NAME) is .*, expected a plain value"):
        file.get(file.lines[0].key)


def test_last_assignment_counts_and_a_comment_assigns_nothing() -> None:
    file = read("f", 'A=1\n#A=2\n  A=\'3\' # no\nexport B="x \\"y"\n')
    assert (file.get("A"), file.get("B"), file.get("C")) == ("3", 'x "y', "")


def test_true_and_false_are_as_the_scripts_take_them() -> None:
    file = read("f", "A=Yes\nB=off\nC=maybe\n")
    assert [(file.is_true(key), file.is_false(key)) for key in "ABC"] == [(True, False), (False, True), (False, False)]


def test_quotes_only_where_they_are_needed() -> None:
    assert (quoted("52:54:00:aa"), quoted("it's")) == ("52:54:00:aa", "'it'\\''s'")


def _files() -> list[Path]:
    return sorted(path for path in others.folder("ifcfg").iterdir() if path.is_file())


def test_files_of_others_are_read_and_keep_every_byte() -> None:
    assigned = 0
    for path in _files():
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        file = read(str(path), text)
        assert "".join(line.raw for line in file.lines) == text
        assigned += sum(bool(line.key) for line in file.lines)
        if path.name.startswith("ifcfg-") and path.suffix != ".pem":
            assert any(line.key for line in file.lines) or not text.strip(), path.name
    assert assigned > 500


def test_line_without_assignment_is_kept() -> None:
    assert read("f", "foo bar\n").lines == (Line("foo bar\n"),)
