"""Which format and sub-format is read and written, each cell checked against which other tool, now.

tests/golden/matrix.py [FORMAT]   (oracle.sh makes more tools; export VIRTKIT_ORACLE)

``read``: images of the tools named, read by us. ``converted``: by us from a raw disk. ``in place``: created by us and
written at random. The tools named in the last two read the same bytes as a guest of ours, and find no fault.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]

from golden.content import SIZE, disk  # noqa: E402  found through the line above
from golden.oracles import Oracle, Sample, oracles  # noqa: E402
from golden.recipes import SECRET  # noqa: E402
from golden.samples import SAMPLES, Ours  # noqa: E402
from golden.test_golden import INDEX, access, guest, unpack  # noqa: E402
from virtkit import disk as virtkit  # noqa: E402
from virtkit.core.errors import VirtkitError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.disk.live import LiveChain

GOOD, BAD = "✓", "✗"
HEAD = ("format", "sub-format", "read", "converted", "in place")
WIDTHS = (6, 42, 54, 36, 36)
WRITES = 40  # of every image in place


def main(wanted: list[str]) -> int:
    tools, faults = oracles(), 0
    print_row(HEAD)
    print_row(tuple("-" * width for width in WIDTHS))
    for row in rows(tools, wanted):
        faults += sum(BAD in cell for cell in row)
        print_row(row)
    sys.stdout.write(f"\n{faults} cells with faults; other tools: {', '.join(tool.name for tool in tools)}\n")
    return 1 if faults else 0


def print_row(row: tuple[str, ...]) -> None:
    """As a table of Markdown, which is one of text as well."""
    sys.stdout.write(f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, WIDTHS, strict=True))} |\n")
    sys.stdout.flush()


def rows(tools: list[Oracle], wanted: list[str]) -> Iterator[tuple[str, ...]]:
    ours = {(sample.format, sample.feature): sample for sample in SAMPLES}
    made: dict[tuple[str, str], list[str]] = {}
    for name, entry in INDEX.items():
        made.setdefault((str(entry["format"]), str(entry["feature"])), []).append(name)
    for key in [*ours, *(key for key in made if key not in ours)]:
        if wanted and key[0] not in wanted:
            continue
        sample = ours.get(key)
        yield (
            *key,
            " ".join(map(read, made.get(key, []))) or "-",
            " ".join(told(converted, sample, tools)) if sample and not sample.backing else "-",
            " ".join(told(in_place, sample, tools)) if sample and sample.live else "-",
        )


def read(name: str) -> str:
    """A golden image, read by us."""
    tool = str(INDEX[name]["made by"]).replace("qemu-img version ", "QEMU ").split("\t")[0]
    tool = tool.split(" (")[0].split("_")[0]
    with tempfile.TemporaryDirectory() as folder:
        path = unpack(name, Path(folder))
        try:
            with virtkit.open(str(path), "r", str(INDEX[name]["format"]), access(name, path)) as chain:
                same = chain.read(0, chain.size) == guest(name)
        except VirtkitError as error:
            return f"{BAD} {tool}: {error.message}"
    return f"{GOOD if same else BAD} {tool.rpartition('.')[0] or tool}"


def told(make: Callable[[Ours, Path], tuple[Sample, bytes]], sample: Ours, tools: list[Oracle]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place:
        try:
            image, content = make(sample, Path(place))
        except subprocess.CalledProcessError as error:
            yield f"{BAD} not made: {error.stderr.splitlines()[0]}"
            return
        except VirtkitError as error:
            yield f"{BAD} not made: {error.message}"
            return
        for tool in tools:
            if tool.knows(image):
                yield f"{GOOD if agrees(tool, image, content) else BAD} {tool.name}"


def agrees(tool: Oracle, image: Sample, content: bytes) -> bool:
    try:
        seen = tool.reads(image)
    except subprocess.CalledProcessError:
        return False
    return seen[: len(content)] == content and not any(seen[len(content) :])


def converted(sample: Ours, place: Path) -> tuple[Sample, bytes]:
    (place / "disk.raw").write_bytes(disk())
    file = f"sample.{sample.format}"
    command = ["convert", "-f", "raw", "-O", sample.format, *_flags(sample, place), "disk.raw", file]
    run(command, place)
    (place / "disk.raw").unlink()
    return Sample(place, file, sample.format, sample.feature, secret=sample.secret), disk()


def in_place(sample: Ours, place: Path) -> tuple[Sample, bytes]:
    file = f"sample.{sample.format}"
    below, content = _below(sample, place)
    flags = [word for word in _flags(sample, place) if word != "-c"]
    if "-c" in sample.flags.split():  # what is compressed is overwritten
        (place / "disk.raw").write_bytes(disk())
        run(["convert", "-f", "raw", "-O", sample.format, "-c", *flags, "disk.raw", file], place)
        content = bytearray(disk())
    else:
        on = ["-b", below, "-F", sample.backing] if below else []
        run(["create", "-f", sample.format, *flags, *on, file, str(SIZE)], place)
    secret = SECRET.encode() if sample.secret else None
    with virtkit.open(str(place / file), "r+", sample.format, virtkit.Access(secret=secret)) as live:
        write_at_random(live, content)
    return Sample(place, file, sample.format, sample.feature, below, sample.secret), bytes(content)


def _below(sample: Ours, place: Path) -> tuple[str, bytearray]:
    if not sample.backing:
        return "", bytearray(SIZE)
    (place / "below.raw").write_bytes(disk())
    if sample.backing != "raw":
        run(["convert", "-f", "raw", "-O", sample.backing, "below.raw", f"below.{sample.backing}"], place)
        (place / "below.raw").unlink()
    return f"below.{sample.backing}", bytearray(disk())


def _flags(sample: Ours, place: Path) -> list[str]:
    if not sample.secret:
        return sample.flags.split()
    (place / "key").write_text(SECRET)
    return [*sample.flags.split(), "--new-key-file", "key"]


def write_at_random(live: LiveChain, content: bytearray) -> None:
    """The same every time; ``content`` is what a guest sees before and after."""
    chance = random.Random(7)
    for number in range(WRITES):
        at = 512 * chance.randrange(SIZE // 512)
        length = min(512 * chance.choice((1, 3, 8, 100, 400)), SIZE - at)
        if number % 5 == 4:
            live.zero(at, length)
            content[at : at + length] = bytes(length)
        else:
            data = bytes([number + 1]) * length
            live.write(at, data)
            content[at : at + length] = data


def run(words: list[str], place: Path) -> None:
    command = [sys.executable, "-m", "virtkit", "disk", *words]
    environment = {"PYTHONPATH": str(HERE.parent.parent / "src"), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
