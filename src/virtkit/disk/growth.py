"""Another size for a disk, and what that means for the partitions on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.progress import Advanced, Finished, Sink, Started, silent
from virtkit.core.units import MIB, SECTOR, format_size, round_up
from virtkit.disk import partitions
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, open_chain
from virtkit.disk.format import Kind
from virtkit.disk.live import open_live, settled

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from virtkit.disk.live import LiveChain
    from virtkit.disk.partitions import Table

    Preallocation: TypeAlias = Literal["off", "metadata", "falloc", "full"]

_PREALLOCATIONS: tuple[Preallocation, ...] = ("off", "metadata", "falloc", "full")
_STEP = 4 * MIB  # bytes written at once
_ZEROS = bytes(_STEP)


class Resized(NamedTuple):
    """Sizes in bytes; ``notes`` are what the guest has to know."""

    before: int
    after: int
    notes: tuple[str, ...] = ()


def resize(
    path: str,
    size: int | None = None,
    *,
    by: int | None = None,
    shrink: bool = False,
    preallocation: str = "off",
    force: bool = False,
    dry_run: bool = False,
    source_format: str | None = None,
    access: Access = READ_ONLY,
    report: Sink = silent,
) -> Resized:
    """Make the disk ``size`` bytes long, or ``by`` bytes longer (shorter, if negative); whole sectors of 512.

    What is cut off is lost: only with ``shrink``, and through a partition only with ``force`` too; UsageError.
    New room reads as zeros, whatever a longer backing image has there. ``preallocation`` of the new room: ``off``,
    ``metadata`` (the map says where it is), ``falloc`` (the file system holds room for it), ``full`` (zeros are
    written). ``dry_run``: check and answer only. NotSupportedError where the format cannot do it.
    """
    if (size is None) == (by is None):
        raise UsageError("resize takes a size, or by how much")
    mode = _mode(preallocation)
    with open_chain(path, source_format, access._replace(shared=True)) as chain:  # who writes is asked below
        target = _target(chain, size, by)
        outlook = _study(chain, target, shrink=shrink, force=force)
    if mode != "off" and target < outlook.before:
        raise UsageError("--preallocation: is for room that a disk gains, and this one loses some")
    if dry_run or target == outlook.before:
        return outlook
    with open_live(path, source_format, access) as live:
        _require_possible(live, mode)
        live.resize(target)
        if mode != "off":
            _preallocate(live, outlook.before, mode, report)
    return outlook


def _mode(word: str) -> Preallocation:
    for mode in _PREALLOCATIONS:
        if mode == word:
            return mode
    raise UsageError(f"preallocation is {word}, expected one of {', '.join(_PREALLOCATIONS)}")


def _target(chain: Chain, size: int | None, by: int | None) -> int:
    wanted = round_up(chain.size + by if by is not None else size or 0, SECTOR)
    if wanted < 0:
        raise UsageError(f"{chain.name}: size is {format_size(chain.size)}, which is less than what shall be cut off")
    return wanted


def _study(chain: Chain, target: int, *, shrink: bool, force: bool) -> Resized:
    before = chain.size
    table = partitions.find(chain) if before != target else None
    if target < before:
        if not shrink:
            cut = format_size(before - target)
            raise UsageError(f"{chain.name}: {cut} at the end of the disk would be lost", hint="--shrink")
        if table and table.end > target and not force:
            raise UsageError(_cut_through(chain, table, target), hint=f"a size of at least {_least(table)}, or --force")
    notes = tuple(_notes(table, before, target)) if table else ()
    return Resized(before, target, notes)


def _least(table: Table) -> int:
    return round_up(table.end + table.tail, SECTOR)


def _cut_through(chain: Chain, table: Table, target: int) -> str:
    last = table.last
    number, start = (last.number, last.start) if last else (0, 0)
    what = "cut off" if start >= target else "cut through"
    place = f"it ends at byte {table.end} ({format_size(table.end)})"
    return f"{chain.name}: partition {number} would be {what}: {place}, the disk at {target} ({format_size(target)})"


def _notes(table: Table, before: int, target: int) -> list[str]:
    last = table.last
    notes = [f"partition table: {problem}" for problem in table.problems]
    if last:
        ends = f"{table.scheme.upper()}: partition {last.number} ends at {format_size(last.end)}"
        notes.append(f"{ends} and is not changed")
    if table.scheme == "gpt" and table.backup is not None:
        moved = "is not at the disk's end any more" if target > before else "is cut off"
        notes.append(f"the backup of the GPT {moved}; in the guest: sgdisk -e /dev/vda")
    if target < before and table.end <= target < _least(table):
        notes.append(f"behind the last partition there is no room for the GPT's backup ({format_size(table.tail)})")
    if target > before and last:
        notes.append(
            f"to use the new room, in the guest: growpart /dev/vda {last.number}, then resize2fs or xfs_growfs"
        )
    return notes


def _require_possible(live: LiveChain, mode: Preallocation) -> None:
    if mode == "off":
        return
    if mode == "metadata" and live.top.facts.encrypted:
        raise NotSupportedError(f"{live.name}: room of an encrypted image is reserved only by writing it", hint="full")
    if mode == "metadata" and live.format == "raw":
        raise NotSupportedError(f"{live.name}: a raw disk has no metadata", hint="--preallocation falloc")


def _preallocate(live: LiveChain, start: int, mode: Preallocation, report: Sink) -> None:
    """Room for [start, the disk's end). A map gets its entries by a write; for metadata alone the bytes go again."""
    step = f"reserve room in {live.name}"
    report(Started(step, live.size - start))
    for at in range(start, live.size, _STEP):
        end = min(at + _STEP, live.size)
        if not (mode == "falloc" and _reserved(live, at, end)):
            live.write(at, _ZEROS[: end - at])
        if mode == "metadata":
            _empty(live, at, end)
        report(Advanced(step, end - start))
    report(Finished(step))


def _reserved(live: LiveChain, start: int, end: int) -> bool:
    """The file system reserves what has a place in the file already; False where some of it has none."""
    there = list(live.top.extents(start, end - start))
    if not all(extent.file and extent.preallocated for extent in there):
        return False
    for extent in there:
        if extent.file:
            extent.file.allocate(extent.at, extent.length)
    return True


def _empty(live: LiveChain, start: int, end: int) -> None:
    for extent in settled(live.top, start, end):
        if extent.file and extent.kind is Kind.DATA:
            extent.file.zero(extent.at, extent.length)
