"""Whether our result is right, asked of QEMU's own tools: a fast wrong answer stops the bench."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, TypeAlias

from bench.race import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.race import Entry, Side

Answer: TypeAlias = "dict[str, object]"
_CHECKED = {"qcow2", "vdi", "vmdk"}  # formats that qemu-img can check
_COUNTS = ("check-errors", "corruptions", "leaks", "total-clusters", "allocated-clusters", "image-end-offset")


def _qemu_img(*command: str) -> str:
    done = subprocess.run(["qemu-img", *command], check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"qemu-img {' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def disk(entry: Entry, theirs: Side) -> None:
    """The same disk as the source, and sound."""
    source, target, kind = entry.cell.source.format(c=entry.corpus), str(entry.ours.output), entry.cell.suffix
    _qemu_img("compare", "-f", source.rpartition(".")[2], "-F", kind, source, target)
    if kind in _CHECKED:
        _qemu_img("check", "-q", "-f", kind, target)


def map_(entry: Entry, theirs: Side) -> None:
    _alike(*(_runs(json.loads(side.said)) for side in (entry.ours, theirs)))


def _runs(entries: list[Answer]) -> list[Answer]:
    """Neighbours that only one side joins, joined; what only one side says, left out."""
    runs: list[Answer] = []
    for one in entries:
        told = {key: one.get(key) for key in ("start", "length", "depth", "data", "offset")}
        told["zero"] = one["zero"] and not one["data"]  # of data, it tells about holes of the file
        if runs and _continues(told, runs[-1]):
            runs[-1]["length"] = _end(runs[-1]) - _number(runs[-1], "start") + _number(told, "length")
        else:
            runs.append(told)
    return runs


def _continues(one: Answer, last: Answer) -> bool:
    same = all(one[key] == last[key] for key in ("depth", "zero", "data"))
    if one["offset"] is None or last["offset"] is None:
        return same and one["offset"] is last["offset"]
    return same and _number(one, "offset") == _number(last, "offset") + _number(last, "length")


def _number(answer: Answer, key: str) -> int:
    value = answer[key]
    if not isinstance(value, int):
        raise BenchError(f"{key} is {value!r}, expected a number")
    return value


def _end(one: Answer) -> int:
    return _number(one, "start") + _number(one, "length")


def check(entry: Entry, theirs: Side) -> None:
    ours_, theirs_ = (json.loads(side.said) for side in (entry.ours, theirs))
    _alike(*({key: answer.get(key) for key in _COUNTS} for answer in (ours_, theirs_)))


def info(entry: Entry, theirs: Side) -> None:
    keys = ("virtual-size", "format", "cluster-size", "format-specific", "actual-size")
    _alike(*({key: json.loads(side.said).get(key) for key in keys} for side in (entry.ours, theirs)))


def metadata(entry: Entry, theirs: Side) -> None:
    """Two images that are alike: sound, as many clusters, the same snapshots, as much mapped."""
    answers = []
    for side in (entry.ours, theirs):
        counts = json.loads(_qemu_img("check", "--output", "json", str(side.output)))
        names = [line.split()[1] for line in _qemu_img("snapshot", "-l", str(side.output)).splitlines()[2:]]
        mapped = sum(one["length"] for one in json.loads(_map(side)) if one["data"])
        answers.append((counts.get("allocated-clusters"), counts.get("leaks"), names, mapped))
    _alike(*answers)


def _map(side: Side) -> str:
    return _qemu_img("map", "--output", "json", "--max-length", "1G", str(side.output))


def status(entry: Entry, theirs: Side) -> None:
    """That both ended with success is all there is to see."""


def every(entry: Entry, theirs: Side) -> None:
    """Every image was answered for."""
    words = [word for word in entry.ours.commands[0] if word.endswith(".qcow2")]
    if len(json.loads(entry.ours.said)) != len(words):
        raise BenchError(f"{entry.cell.name}: expected an answer for each of {len(words)} images")


def _alike(ours: object, theirs: object) -> None:
    if ours != theirs:
        raise BenchError(f"answer is {str(ours)[:300]}, expected {str(theirs)[:300]}")


PROOFS: dict[str, Callable[[Entry, Side], None]] = {
    "disk": disk,
    "map": map_,
    "check": check,
    "info": info,
    "metadata": metadata,
    "status": status,
    "every": every,
}
