from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from host.trees import planted
from virtkit.host.kernel import Choice, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("read", [Kernel.text, Kernel.number, Kernel.switch, Kernel.choice, Kernel.cpu_mask])
def test_what_is_absent_is_none_and_no_doubt(tmp_path: Path, read: Callable[[Kernel, str], object]) -> None:
    kernel = planted(tmp_path, {"/sys/a/folder/x": ""})
    assert read(kernel, "/sys/absent") is None
    assert read(kernel, "/sys/a/folder") is None
    assert not kernel.doubts


@pytest.mark.parametrize("text", ["4x", "0x10", "1 2", "٣", "9" * 30, "\x00\x01"])
def test_a_number_that_is_none_is_a_doubt(tmp_path: Path, text: str) -> None:
    kernel = planted(tmp_path, {"/sys/number": text})
    assert kernel.number("/sys/number") is None
    assert len(kernel.doubts) == 1
    assert kernel.doubts[0].startswith("/sys/number: found ")


def test_numbers_may_be_below_zero(tmp_path: Path) -> None:
    assert planted(tmp_path, {"/sys/number": "-24576\n"}).number("/sys/number") == -24576


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("always [madvise] never\n", Choice("madvise", ("always", "madvise", "never"))),
        ("[none] mq-deadline kyber bfq \n", Choice("none", ("none", "mq-deadline", "kyber", "bfq"))),
        ("none\n", Choice("none", ("none",))),
    ],
)
def test_the_choice_is_the_word_in_brackets(tmp_path: Path, text: str, choice: Choice) -> None:
    assert planted(tmp_path, {"/sys/choice": text}).choice("/sys/choice") == choice


@pytest.mark.parametrize("text", ["a b", "[a] [b]", "[a", "a]"])
def test_a_choice_without_exactly_one_chosen_word_is_a_doubt(tmp_path: Path, text: str) -> None:
    kernel = planted(tmp_path, {"/sys/choice": text})
    assert kernel.choice("/sys/choice") is None
    assert kernel.doubts


def test_the_mask_wins_over_the_list_and_ends_where_a_nul_begins(tmp_path: Path) -> None:
    kernel = planted(
        tmp_path, {"/a/shared_cpu_map": "0000000f\n\0", "/a/shared_cpu_list": "0,4", "/b/core_cpus_list": "1-2"}
    )
    assert kernel.cpu_mask("/a/shared_cpu_map") == frozenset({0, 1, 2, 3})
    assert kernel.cpu_mask("/b/core_cpus") == frozenset({1, 2})


def test_fields_are_bytes_and_lines_that_are_no_fields_are_left_out(tmp_path: Path) -> None:
    text = "Node 0 MemTotal:  4 kB\nHugePages_Total:     7\nNode 0 Active(anon): 1 kB\nBad: -1 kB\nWorse: 1 MB\nnoise\n"
    fields = planted(tmp_path, {"/proc/meminfo": text}).fields("/proc/meminfo")
    assert fields == {"MemTotal": 4096, "HugePages_Total": 7, "Active(anon)": 1024}


def test_a_long_file_is_cut_at_a_line(tmp_path: Path) -> None:
    kernel = planted(tmp_path, {"/proc/long": "0123456\n" * 1000})
    assert kernel.text("/proc/long", limit=20) == "0123456\n0123456"


def test_a_pipe_without_a_writer_does_not_hold_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not planted(tmp_path, {}).text("/pipe")
