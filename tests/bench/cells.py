"""What is raced: every cell of the table, as data. ``{c}`` is the corpus, ``{o}`` what a run makes.

A goal is the ratio of wall times, ours to the best of qemu-img's, that the project promises.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from bench.corpus import MANY

Command: TypeAlias = tuple[str, ...]
OURS, THEIRS = "virtkit disk", "qemu-img"

_FLAGS = ("", "-m 16 -W", "-C")
_PACKING = ("", "-m 16 -W")  # -C cannot go with -c
READS = (200_000, 4096, 7_344_128)  # count, size and step: every block of the disk once in a while
_ZSTD, _STREAM = "-c -o compression_type=zstd", "-o subformat=streamOptimized"
_READS = "-c {} -s {} -S {}".format(*READS)


class Cell(NamedTuple):
    """One race. Commands are words apart; several of one side run one after the other and count as one."""

    name: str
    goal: float | None
    ours: tuple[str, ...]
    theirs: tuple[tuple[str, ...], ...]  # the fastest of these is raced against
    proof: str  # of bench/proofs.py
    limit: str  # of bench/limits.py
    source: str = ""  # what is read; {c}/...
    fresh: str = ""  # what is copied to {o} before each run
    before: tuple[str, ...] = ()  # run on {o} before each run, by qemu-img
    suffix: str = ""  # of {o}
    room: float | None = None  # the most that our result may be as a multiple of theirs
    cold: bool = False  # nothing of the source is cached


def _convert(
    name: str,
    source: str,
    kind: str,
    goal: float | None,
    flags: tuple[str, ...] = _FLAGS,
    *,
    both: str = "",
    ours: str = "",
    limit: str = "copy",
    cold: bool = False,
    room: float | None = None,
) -> Cell:
    form = source.rpartition(".")[2]
    path = "{c}/" + source
    place = source.rpartition("/")[0]
    target = "{c}/" + (f"{place}/" if place else "") + "{o}"
    return Cell(
        name,
        goal,
        (_words(f"{OURS} convert -q -f {form} -O {kind} {both} {ours} {path} {target}"),),
        tuple((_words(f"{THEIRS} convert {flag} -f {form} -O {kind} {both} {path} {target}"),) for flag in flags),
        "disk",
        limit,
        path,
        suffix=kind,
        cold=cold,
        room=room,
    )


def _words(text: str) -> str:
    return " ".join(text.split())


def _asked(name: str, verb: str, image: str, goal: float | None, limit: str = "start") -> Cell:
    path = "{c}/" + image
    return Cell(
        name,
        goal,
        (f"{OURS} {verb} --output json {path}",),
        ((f"{THEIRS} {verb} --output json {path}",),),
        "answers",
        limit,
        path,
    )


def _many(verb: str) -> Cell:
    paths = ["{c}/many/" + f"{number:02}.qcow2" for number in range(MANY)]
    return Cell(
        f"{verb}, {MANY} images",
        0.5,
        (f"{OURS} {verb} --output json {' '.join(paths)}",),
        (tuple(f"{THEIRS} {verb} --output json {path}" for path in paths),),
        "answers",
        "start",
    )


def _many_snapshots() -> Cell:
    paths = ["{c}/{o}/" + f"{number:02}.qcow2" for number in range(MANY)]
    return Cell(
        f"snapshot create, {MANY} images",
        0.5,
        (f"{OURS} snapshot -c raced {' '.join(paths)}",),
        (tuple(f"{THEIRS} snapshot -c raced {path}" for path in paths),),
        "metadata",
        "start",
        fresh="{c}/many",
        suffix="d",
    )


def _snapshot(name: str, verb: str, image: str, goal: float | None, *, existing: bool = False) -> Cell:
    path = "{c}/{o}"
    return Cell(
        name,
        goal,
        (f"{OURS} snapshot {'' if verb == '-c' else '-y '}{verb} raced {path}",),
        ((f"{THEIRS} snapshot {verb} raced {path}",),),
        "metadata",
        "start",
        fresh="{c}/" + image,
        before=(f"{THEIRS} snapshot -c raced {path}",) if existing else (),
        suffix="qcow2",
    )


def _in_place(name: str, folder: str) -> Cell:
    """Ours turns a copy of the guest's disk into the image, theirs reads such a copy."""
    path, guest = f"{{c}}/{folder}{{o}}", f"{{c}}/{folder}guest.raw"
    return Cell(
        name,
        0.5,
        (f"{OURS} convert -q -y --in-place -f raw -O qcow2 {path}",),
        tuple((_words(f"{THEIRS} convert {flags} -f raw -O qcow2 {path} {path}.qcow2"),) for flags in _FLAGS),
        "disk",
        "start",
        guest,
        fresh=guest,
        suffix="qcow2",
    )


def _compare(name: str, left: str, right: str, goal: float | None, limit: str = "compare") -> Cell:
    sides = f"-f {left.rpartition('.')[2]} -F {right.rpartition('.')[2]} {{c}}/{left} {{c}}/{right}"
    command = (f"{THEIRS} compare {sides}",)
    return Cell(name, goal, (f"{OURS} compare {sides}",), (command,), "status", limit, "{c}/" + left)


def _bench(name: str, words: str, *depths: str, fresh: str = "") -> Cell:
    return Cell(
        name,
        None,
        (f"{OURS} bench -y -q {words}",),
        tuple((f"{THEIRS} bench -q {depth} -f qcow2 {words}",) for depth in depths),
        "alike" if fresh else "status",
        "start" if fresh else "reads",
        "{c}/dense.qcow2",
        fresh="{c}/" + fresh if fresh else "",
        suffix="qcow2" if fresh else "",
    )


CELLS = (
    _convert("raw -> qcow2, guest", "guest.raw", "qcow2", 0.9),
    _convert("raw -> vdi, guest", "guest.raw", "vdi", 0.9),
    _convert("raw -> raw, guest", "guest.raw", "raw", 0.9),
    _convert("raw -> qcow2, dense", "dense.raw", "qcow2", 0.9),
    _convert("raw -> qcow2, 20 GiB nearly empty", "empty.raw", "qcow2", 0.9, limit="start"),
    _convert("raw -> qcow2, 10 TiB nearly empty", "empty10.raw", "qcow2", 0.9, limit="start"),
    _convert("raw -> qcow2, cold source", "guest.raw", "qcow2", None, cold=True),
    _convert("qcow2 -> raw, guest", "guest.qcow2", "raw", 0.75),
    _convert("qcow2 -> raw, dense", "dense.qcow2", "raw", 0.75),
    _convert("qcow2 -> raw, fragmented", "frag.qcow2", "raw", 0.75),
    _convert("vdi -> raw, guest", "guest.vdi", "raw", 0.75),
    _convert("vmdk -> raw, guest", "guest.vmdk", "raw", 0.75),
    _convert("qcow2 -> qcow2, guest", "guest.qcow2", "qcow2", 0.9),
    _convert("qcow2 -> vdi, guest", "guest.qcow2", "vdi", None),
    _convert("raw -> vmdk monolithicSparse", "small.raw", "vmdk", 0.25),
    _convert("raw -> qcow", "small.raw", "qcow", 0.1),
    _convert("qcow -> raw", "small.qcow", "raw", 0.1),
    _convert("raw -> qcow2, xfs", "xfs/guest.raw", "qcow2", 0.15, limit="share"),
    _convert("raw -> qcow2, btrfs", "btrfs/guest.raw", "qcow2", 0.15, limit="share"),
    _convert("qcow2 -> raw, xfs", "xfs/guest.qcow2", "raw", 0.6, limit="share"),
    _convert("qcow2 -> raw, btrfs", "btrfs/guest.qcow2", "raw", 0.6, limit="share"),
    _convert("qcow2 -> raw, fragmented, xfs", "xfs/frag.qcow2", "raw", 0.6, limit="share"),
    _in_place("raw -> qcow2 in place, ext4", ""),
    _in_place("raw -> qcow2 in place, xfs", "xfs/"),
    _convert("raw -> qcow2, on the disk", "guest.raw", "qcow2", 0.8, ("-t none", "-t none -m 16 -W"), ours="--durable"),
    _convert("raw -> qcow2 zlib", "small.raw", "qcow2", 0.4, _PACKING, both="-c", room=1.05),
    _convert("raw -> qcow2 zlib, fast", "small.raw", "qcow2", 0.15, _PACKING, both="-c", ours="--level fast", room=1.1),
    _convert("raw -> qcow2 zlib, best", "small.raw", "qcow2", None, _PACKING, both="-c", ours="--level best", room=1.0),
    _convert("raw -> qcow2 zstd", "small.raw", "qcow2", 0.8, _PACKING, both=_ZSTD, room=1.01),
    _convert(
        "raw -> qcow2 zstd, fast", "small.raw", "qcow2", None, _PACKING, both=_ZSTD, ours="--level fast", room=1.1
    ),
    _convert(
        "raw -> qcow2 zstd, best", "small.raw", "qcow2", None, _PACKING, both=_ZSTD, ours="--level best", room=1.0
    ),
    _convert("raw -> vmdk streamOptimized", "small.raw", "vmdk", 0.2, _PACKING, both=_STREAM, room=1.0),
    _convert(
        "raw -> vmdk streamOptimized, fast", "small.raw", "vmdk", None, both=_STREAM, ours="--level fast", room=1.1
    ),
    _convert(
        "raw -> vmdk streamOptimized, best", "small.raw", "vmdk", None, both=_STREAM, ours="--level best", room=1.0
    ),
    _convert("qcow2 zlib -> qcow2 zstd", "guest-zlib.qcow2", "qcow2", None, _PACKING, both=_ZSTD, room=1.01),
    _convert("qcow2 zlib -> qcow2", "guest-zlib.qcow2", "qcow2", 0.5),
    _convert("qcow2 zlib -> raw", "guest-zlib.qcow2", "raw", 0.5),
    _convert("qcow2 zstd -> raw", "guest-zstd.qcow2", "raw", 0.65),
    _convert("vmdk streamOptimized -> raw", "small-stream.vmdk", "raw", 0.25),
    _compare("compare raw, qcow2", "guest.raw", "guest.qcow2", 0.6),
    _compare("compare qcow2, vmdk", "guest.qcow2", "guest.vmdk", 0.6),
    _compare("compare raw, qcow2 zlib", "guest.raw", "guest-zlib.qcow2", 0.6),
    _compare("compare reflinked copies, xfs", "xfs/guest.raw", "xfs/clone.raw", 0.6),
    _compare("compare reflinked copies, btrfs", "btrfs/guest.raw", "btrfs/clone.raw", 0.6),
    _asked("map, 1 TiB full", "map", "full.qcow2", 0.4),
    _asked("map, 10 TiB sparse", "map", "sparse10.qcow2", 0.4),
    _asked("map, 1 TiB sparse", "map", "sparse1.qcow2", 0.4),
    _asked("check, 1 TiB full", "check", "full.qcow2", 0.4),
    _asked("check, 10 TiB sparse", "check", "sparse10.qcow2", 0.4),
    _asked("check, 1 TiB sparse", "check", "sparse1.qcow2", None),
    _snapshot("snapshot create, 1 TiB full", "-c", "full.qcow2", 0.1),
    _snapshot("snapshot apply, 1 TiB full", "-a", "full.qcow2", 0.1, existing=True),
    _snapshot("snapshot delete, 1 TiB full", "-d", "full.qcow2", 0.1, existing=True),
    Cell(
        "create, metadata of 1 TiB",
        0.2,
        (f"{OURS} create -q -f qcow2 -o preallocation=metadata {{c}}/{{o}} 1T",),
        ((f"{THEIRS} create -q -f qcow2 -o preallocation=metadata {{c}}/{{o}} 1T",),),
        "metadata",
        "start",
        suffix="qcow2",
    ),
    Cell(
        "random 4 KiB reads",
        0.4,
        (f"python -m bench.reads {{c}}/dense.qcow2 {' '.join(map(str, READS))}",),
        (
            (f"{THEIRS} bench -q {_READS} -d 1 {{c}}/dense.qcow2",),
            (f"{THEIRS} bench -q {_READS} -d 64 {{c}}/dense.qcow2",),
        ),
        "reads",
        "reads",
        "{c}/dense.qcow2",
    ),
    _bench("disk bench, reads", f"{_READS} {{c}}/dense.qcow2", "-d 1", "-d 64"),
    _bench("disk bench, writes", "-w -c 20000 -s 4096 -S 65536 --pattern 3 {c}/{o}", "-d 1", fresh="small.qcow2"),
    _asked("info, small", "info", "one.qcow2", 3.0),
    _asked("map, small", "map", "one.qcow2", 3.0),
    _asked("check, small", "check", "one.qcow2", 3.0),
    _snapshot("snapshot create, small", "-c", "one.qcow2", 3.0),
    _snapshot("snapshot apply, small", "-a", "one.qcow2", 3.0, existing=True),
    _snapshot("snapshot delete, small", "-d", "one.qcow2", 3.0, existing=True),
    _asked("info, guest", "info", "guest.qcow2", 3.0),
    _asked("map, guest", "map", "guest.qcow2", 3.0),
    _asked("check, guest", "check", "guest.qcow2", 3.0),
    _asked("check, guest zlib", "check", "guest-zlib.qcow2", 3.0),
    _many("info"),
    _many("map"),
    _many("check"),
    _many_snapshots(),
)
