from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from virtkit.cli.host.bench import _lines
from virtkit.host.bench.trial import Setup
from virtkit.host.bench.verdict import Pair, judge
from virtkit.recipes.measuring import Measured


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "virtkit", "host", "bench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def told(*pairs: Pair) -> list[str]:
    setup = Setup("a", "b", "/srv", 0, "read")
    return list(_lines(Measured("cache", "us", setup, list(pairs), judge(pairs))))


def test_a_flush_that_is_thrown_away_costs_less_than_one_that_is_made() -> None:
    """In /var/tmp: where /tmp is memory, a flush costs nothing."""
    done = bench("cache", "none", "unsafe", "--rounds", "6", "--output", "json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (found["what"], found["a"], found["b"], len(found["measured"])) == ("cache", "none", "unsafe", 6)
    assert found["verdict"]["concluded"] is True
    assert found["verdict"]["high"] < 0
    assert found["verdict"]["more"] is None


def test_what_is_not_known_is_refused_with_what_is() -> None:
    assert "bench: 'luck' is asked for, expected one of cache, jitter, memory, scheduler" in bench("luck").stderr
    assert "look for the disk of /nowhere" in bench("scheduler", "--directory", "/nowhere").stderr
    assert "side is 'fast', expected one of none, writeback" in bench("cache", "none", "fast").stderr
    assert "expected two" in bench("cache", "none").stderr
    assert "both sides are none" in bench("cache", "none", "none").stderr
    assert "--rounds is '5', expected 6 to 10000" in bench("cache", "--rounds", "5").stderr


def test_a_plan_says_that_nothing_of_the_host_is_borrowed() -> None:
    done = bench("jitter", "--plan")
    assert (done.returncode, done.stdout) == (0, "bench jitter: nothing to change\n")


def test_a_verdict_is_told_with_its_bounds() -> None:
    assert told(*[Pair(100, 60)] * 8) == [
        "✓ cache: b takes 40 % less than a",
        "  95 % sure: 40 % less to 40 % less",
        "  medians of 8 pairs in turns: a 100, b 60 us",
    ]
    assert told(*[Pair(100, 300)] * 8)[0] == "✓ cache: b takes 3 times as much as a"


def test_where_there_is_no_verdict_it_says_what_would_give_one() -> None:
    lines = told(*[Pair(100, 90)] * 6, *[Pair(100, 110)] * 2)
    assert lines[0] == "✗ cache: no verdict between a and b: the noise is larger than the difference"
    found = re.fullmatch(
        r"  as it looks, (\d+) more rounds would tell: virtkit host bench cache a b --directory=/srv --load=read"
        r" --rounds (\d+)", lines[-1],
    )  # fmt: skip
    assert found
    assert int(found[2]) == 8 + int(found[1])
    assert "more than 1000 more rounds" in told(*[Pair(100, 100)] * 8)[-1]
