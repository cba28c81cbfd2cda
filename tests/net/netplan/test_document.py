from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from net.netplan.samples import document as written
from net.netplan.samples import others_files, skip_without_data
from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.netplan import document
from virtkit.net.backends.netplan.document import Alias, Mapping, Scalar, data, parse, walk

if TYPE_CHECKING:
    from virtkit.net.backends.netplan.document import Data

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_means_what_pyyaml_reads_and_every_text_stands_where_its_node_says(seed: int) -> None:
    text = written(seed)
    root = parse("x.yaml", text).root
    assert root is not None
    assert _plain(data(root)) == yaml.load(text, Loader=yaml.BaseLoader)
    for node in walk(root):
        if isinstance(node, Scalar) and node.value:
            assert text[node.start : node.end].strip("'\"") == node.value


@skip_without_data
def test_files_of_others_mean_what_pyyaml_reads() -> None:
    for path in others_files():
        text = path.read_text()
        root = parse(str(path), text).root
        assert root is not None
        assert _plain(data(root)) == yaml.load(text, Loader=yaml.BaseLoader), path


def test_alias_stands_where_it_is_and_means_what_it_stands_for() -> None:
    root = parse("x.yaml", "a: &x {b: 1}\nc: *x\n").root
    assert isinstance(root, Mapping)
    alias = root.entries[1].value
    assert isinstance(alias, Alias)
    assert (alias.start, alias.end) == (16, 18)
    assert data(alias) == {"b": ("1",)}


def test_key_that_is_there_twice_counts_twice() -> None:
    root = parse("x.yaml", "a: 1\na: 2\n").root
    assert root is not None
    assert data(root) == {"a": ("1", "2")}


def test_only_the_first_document_counts_as_for_netplan() -> None:
    root = parse("x.yaml", "a: 1\n---\n: [\n").root
    assert root is not None
    assert data(root) == {"a": ("1",)}


def test_a_file_of_comments_alone_is_nothing() -> None:
    assert parse("x.yaml", "# nothing\n").root is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, r"x.yaml:\d+:\d+: is \d+ nodes, expected 50000 at most"),
        ("a: &a [*a]\n", "x.yaml:1:8: is no YAML: no whole anchor a before this alias"),
        ("[" * 60 + "]" * 60, r"x.yaml:1:33: is nested 33 deep, expected 32 at most"),
        ("a:\n\tb: 1\n", "x.yaml:2:1: is no YAML: found character"),
        ("a: [1\n", "x.yaml:2:1: is no YAML"),
        ("? [a]\n: 1\n", "x.yaml:1:3: key is sequence, expected a name"),
        ("a: \udcff\n", "x.yaml: is no YAML"),
    ],
)
def test_what_nobody_should_read_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(NotSupportedError, match=said):
        parse("x.yaml", text)


def test_too_large_a_file_is_refused_unread() -> None:
    with pytest.raises(NotSupportedError, match="expected at most 262144"):
        parse("x.yaml", " " * (document.MOST_CHARACTERS + 1))


def _plain(value: Data) -> object:
    if isinstance(value, dict):
        return {key: _plain(values[-1]) for key, values in value.items()}
    return value if isinstance(value, str) else [_plain(item) for item in value]
