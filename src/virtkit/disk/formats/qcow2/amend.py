"""Options of an existing qcow2 image changed in place.

Each change is one write of the header: what it needs is whole and on stable storage before, what only the old header
named is free afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.progress import Note, Sink
from virtkit.disk.format import Option
from virtkit.disk.formats.qcow2 import downgrade, newcounts, options, slots, upgrade
from virtkit.disk.formats.qcow2.layout import AUTOCLEAR_RAW_DATA_FILE, LAZY_REFCOUNTS, V2, Extension, Incompatible
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.formats.qcow2.live import LiveQcow2

KNOWN = (
    Option("backing_file", "name of the backing file; what is below is not compared"),
    Option("backing_fmt", "format of the backing file"),
    Option("compat", "0.10 (version 2) or 1.1 (version 3)"),
    Option("data_file", "name of the file that holds the guest's data; the file itself is not touched"),
    Option("data_file_raw", "off: that file need be no raw disk any more"),
    Option("encrypt.keyslot", "of LUKS: the slot that is filled or emptied, 0 to 7"),
    Option("encrypt.iter-time", "of LUKS: milliseconds that trying the new passphrase takes", "2000"),
    Option("encrypt.state", "of LUKS: active adds --new-key-file, inactive empties --old-key-file's slots or keyslot"),
    Option("lazy_refcounts", "on: refcounts may be written late; after a crash they are counted anew"),
    Option("refcount_bits", "1, 2, 4, 8, 16, 32 or 64"),
)
_PASSPHRASES = ("encrypt.old-secret", "encrypt.new-secret")  # given by other means than -o


class _Wanted(NamedTuple):
    version: int
    order: int
    lazy: bool


def amend(image: LiveQcow2, given: Mapping[str, str], report: Sink) -> None:
    """See ``AmendableFormat.amend``; each change is told in a Note."""
    _require_known(image, given)
    wanted = _wanted(image, given)
    _require_sense(image, given, wanted)
    if wanted.version < image.head.header.version:
        downgrade.require(image, wanted.order)
    told = _set_data_file(image, given)  # first of all: from then on the file is looked for under its new name
    image.flush()
    if any(name.startswith("encrypt.") for name in given):
        told.append(slots.change(image, given))
    if wanted.version > image.head.header.version:
        upgrade.to_version_3(image)
        told.append("compat: 0.10 -> 1.1")
    if wanted.order != image.head.features.refcount_order:
        told.append(f"refcount_bits: {1 << image.head.features.refcount_order} -> {1 << wanted.order}")
        newcounts.change_width(image, wanted.order)
    told += _set_backing(image, given)
    if wanted.lazy != bool(image.head.features.compatible & LAZY_REFCOUNTS):
        compatible = image.head.features.compatible ^ LAZY_REFCOUNTS
        image.heading.change(compatible=compatible)
        told.append(f"lazy_refcounts: {'on' if wanted.lazy else 'off'}")
    if wanted.version < image.head.header.version:
        downgrade.to_version_2(image)
        told.append("compat: 1.1 -> 0.10")
    image.flush()
    for line in told:
        report(Note(f"amend {image.file.name}", line))


def _wanted(image: LiveQcow2, given: Mapping[str, str]) -> _Wanted:
    features = image.head.features
    version = options.parse_version(given["compat"]) if "compat" in given else image.head.header.version
    bits = given.get("refcount_bits", str(1 << features.refcount_order))
    lazy = bool(features.compatible & LAZY_REFCOUNTS) and version > V2
    if "lazy_refcounts" in given:
        lazy = options.parse_switch("lazy_refcounts", given["lazy_refcounts"])
    return _Wanted(version, options.parse_refcount_bits(bits), lazy)


def _require_known(image: LiveQcow2, given: Mapping[str, str]) -> None:
    name = image.file.name
    known = {option.name for option in KNOWN} | set(_PASSPHRASES)
    for option in given:
        if option == "size":
            raise UsageError(f"{name}: size is not amended", hint=f"virtkit disk resize {name} {given[option]}")
        if option in {one.name for one in options.KNOWN} - known:
            hint = f"virtkit disk convert -o {option}={given[option]} {name} NEW"
            raise NotSupportedError(f"{name}: {option} of an existing image cannot be changed", hint=hint)
        if option not in known:
            raise UsageError(f"qcow2: option {option} is not known, expected one of {', '.join(sorted(known))}")


def _require_sense(image: LiveQcow2, given: Mapping[str, str], wanted: _Wanted) -> None:
    name, old = image.file.name, wanted.version == V2
    if old and wanted.lazy:
        raise UsageError(f"{name}: lazy_refcounts need version 3", hint="-o compat=1.1")
    if old and wanted.order != 4:  # noqa: PLR2004  1 << 4 is 16
        raise UsageError(f"{name}: version 2 has refcounts of 16 bits", hint="-o compat=0.10,refcount_bits=16")
    outside = image.head.has(Incompatible.DATA_FILE)
    if ("data_file" in given or "data_file_raw" in given) and not outside:
        raise UsageError(f"{name}: has no external data file, and cannot get one", hint="virtkit disk convert")
    if options.parse_switch("data_file_raw", given.get("data_file_raw", "off")) and not _is_raw(image):
        raise UsageError(f"{name}: its data file is no raw disk, and cannot become one", hint="virtkit disk convert")


def _is_raw(image: LiveQcow2) -> bool:
    return bool(image.head.features.autoclear & AUTOCLEAR_RAW_DATA_FILE)


def _set_data_file(image: LiveQcow2, given: Mapping[str, str]) -> list[str]:
    told: list[str] = []
    if "data_file" in given:
        name = given["data_file"].encode(errors="surrogateescape")
        extensions = {**image.head.extensions, Extension.DATA_FILE: name}
        if extensions != image.head.extensions:
            image.heading.replace(image.head._replace(extensions=extensions))
            told.append(f"data_file: {given['data_file']}")
    if "data_file_raw" in given and _is_raw(image) and not options.parse_switch("", given["data_file_raw"]):
        image.heading.change(autoclear=image.head.features.autoclear & ~AUTOCLEAR_RAW_DATA_FILE)
        told.append("data_file_raw: off")
    return told


def _set_backing(image: LiveQcow2, given: Mapping[str, str]) -> list[str]:
    if "backing_file" not in given and "backing_fmt" not in given:
        return []
    old = image.head.backing
    name = given.get("backing_file", old.name if old else "")
    kind = given.get("backing_fmt", old.format if old and name else None) or None
    if kind and not name:
        raise UsageError(f"{image.file.name}: backing_fmt is {kind}, but there is no backing file")
    if name and not kind:
        raise UsageError(f"{image.file.name}: format of the backing file is not said", hint="-o backing_fmt=qcow2")
    new = Reference(name, kind) if name else None
    if new == old:
        return []
    image.set_backing(new, None)
    return [f"backing_file: {f'{name} ({kind})' if new else 'none'}"]
