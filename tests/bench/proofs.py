"""Whether our result is right, asked of QEMU's own tools: a fast wrong answer stops the bench."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bench.cells import READS
from bench.race import BenchError
from virtkit.disk import open as open_disk

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.race import Entry, Side

Answer: TypeAlias = "dict[str, object]"
Document: TypeAlias = "Answer | list[Answer]"
_CHECKED = {"qcow2", "vdi", "vmdk"}  # formats that qemu-img can check
_COUNTS = ("check-errors", "corruptions", "leaks", "total-clusters", "allocated-clusters", "image-end-offset")
_FACTS = ("virtual-size", "format", "cluster-size", "format-specific", "actual-size")


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


def answers(entry: Entry, theirs: Side) -> None:
    """What both print about each image."""
    told = _TOLD[entry.ours.commands[0][2]]
    found, expected = _documents(entry.ours.said), _documents(theirs.said)
    if len(expected) > 1:  # our answer to several images is one list
        found = json.loads(entry.ours.said)
    _alike([told(one) for one in found], [told(one) for one in expected])


def _documents(text: str) -> list[Document]:
    """One JSON document behind the other."""
    found, rest = [], text.lstrip()
    while rest:
        one, end = json.JSONDecoder().raw_decode(rest)
        found.append(one)
        rest = rest[end:].lstrip()
    return found


def _runs(document: Document) -> list[Answer]:
    """Neighbours that only one side joins, joined; what only one side says, left out."""
    runs: list[Answer] = []
    for one in document if isinstance(document, list) else [document]:
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


def _only(keys: tuple[str, ...]) -> Callable[[Document], list[Answer]]:
    def told(document: Document) -> list[Answer]:
        entries = document if isinstance(document, list) else [document]
        return [{key: one.get(key) for key in keys} for one in entries]

    return told


_TOLD: dict[str, Callable[[Document], list[Answer]]] = {"map": _runs, "check": _only(_COUNTS), "info": _only(_FACTS)}


def metadata(entry: Entry, theirs: Side) -> None:
    """Images that are alike: sound, as many clusters, the same snapshots, as much mapped."""
    found, expected = ([_state(image) for image in _images(side)] for side in (entry.ours, theirs))
    _alike(found, expected)


def _images(side: Side) -> list[str]:
    return sorted(map(str, side.output.iterdir())) if side.output.is_dir() else [str(side.output)]


def _state(image: str) -> tuple[object, ...]:
    counts = json.loads(_qemu_img("check", "--output", "json", image))
    names = [line.split()[1] for line in _qemu_img("snapshot", "-l", image).splitlines()[2:]]
    mapped = json.loads(_qemu_img("map", "--output", "json", "--max-length", "1G", image))
    return (
        counts.get("allocated-clusters"),
        counts.get("leaks"),
        names,
        sum(one["length"] for one in mapped if one["data"]),
    )


def alike(entry: Entry, theirs: Side) -> None:
    """Both results hold the same disk, and ours is sound."""
    _qemu_img("compare", str(entry.ours.output), str(theirs.output))
    _qemu_img("check", "-q", str(entry.ours.output))


def reads(entry: Entry, theirs: Side) -> None:
    """What was read is what the raw disk holds there."""
    path = Path(entry.cell.source.format(c=entry.corpus))
    _count, size, step = READS
    with open_disk(str(path)) as image, path.with_suffix(".raw").open("rb") as raw:
        for number in range(2000):
            at = number * step % image.size
            raw.seek(at)
            if image.read(at, size) != raw.read(size):
                raise BenchError(f"{path}: reads otherwise at byte {at}")


def status(entry: Entry, theirs: Side) -> None:
    """That both ended with success is all there is to see."""


def _alike(ours: object, theirs: object) -> None:
    if ours != theirs:
        raise BenchError(f"answer is {str(ours)[:300]}, expected {str(theirs)[:300]}")


PROOFS: dict[str, Callable[[Entry, Side], None]] = {
    "alike": alike,
    "answers": answers,
    "disk": disk,
    "metadata": metadata,
    "reads": reads,
    "status": status,
}
