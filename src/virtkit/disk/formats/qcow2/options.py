"""What ``-o`` says of a new qcow2 image, under qemu-img's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.core.units import format_size, is_power_of_two, parse_size
from virtkit.disk.format import Option
from virtkit.disk.formats.qcow2.layout import (
    COMPRESSIONS,
    ENCRYPTIONS,
    MAX_CLUSTER_BITS,
    MIN_CLUSTER_BITS,
    MIN_EXTENDED_CLUSTER,
    V2,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.format import Blank

PREALLOCATIONS = ("off", "metadata", "falloc", "full")
VERSIONS = {"0.10": 2, "v2": 2, "1.1": 3, "v3": 3}
_LUKS = "encrypt."
_ON, _OFF = {"on", "yes", "true", "y"}, {"off", "no", "false", "n"}
_MAX_REFCOUNT_BITS = 64

KNOWN = (
    Option("cluster_size", "bytes: a power of two from 512 to 2M", "64K"),
    Option("compat", "0.10 (version 2) or 1.1 (version 3)", "1.1"),
    Option("compression_type", "of compressed clusters: zlib or zstd", "zlib"),
    Option("data_file", "keep the guest's data in this new file beside the image"),
    Option("data_file_raw", "on: that file is a raw disk by itself, too", "off"),
    Option("encrypt.format", "luks, or aes (weak, for old programs); the passphrase comes from --new-key-file"),
    Option("encrypt.cipher-alg", "of LUKS: aes-128, aes-192 or aes-256", "aes-256"),
    Option("encrypt.cipher-mode", "of LUKS: xts, cbc or ecb", "xts"),
    Option("encrypt.ivgen-alg", "of LUKS: plain, plain64 or essiv", "plain64"),
    Option("encrypt.ivgen-hash-alg", "of LUKS with essiv: sha1, sha256, sha512 ...", "sha256"),
    Option("encrypt.hash-alg", "of LUKS: sha1, sha256, sha512 ...", "sha256"),
    Option("encrypt.iter-time", "of LUKS: milliseconds that trying one passphrase takes", "2000"),
    Option("extended_l2", "on: room is made in 32nds of a cluster; from clusters of 16K on", "off"),
    Option("lazy_refcounts", "on: refcounts may be written late; after a crash they are counted anew", "off"),
    Option("preallocation", "off, metadata, falloc or full", "off"),
    Option("refcount_bits", "1, 2, 4, 8, 16, 32 or 64", "16"),
)


class Luks(NamedTuple):
    """As disk/cipher has them."""

    cipher_alg: str
    cipher_mode: str
    ivgen_alg: str
    ivgen_hash_alg: str
    hash_alg: str
    iter_time: int  # milliseconds


class Options(NamedTuple):
    cluster_size: int  # bytes
    version: int  # 2 or 3
    compression: str
    refcount_order: int
    lazy_refcounts: bool
    extended_l2: bool
    preallocation: str
    data_file: str | None
    data_file_raw: bool
    encryption: str  # of ENCRYPTIONS
    luks: Luks


def parse(given: Mapping[str, str]) -> Options:
    """UsageError where a value is none, or where two contradict each other."""
    chosen = {option.name: option.default for option in KNOWN} | dict(given)
    options = Options(
        cluster_size=parse_size(chosen["cluster_size"]),
        version=parse_version(chosen["compat"]),
        compression=_one_of("compression_type", chosen["compression_type"], COMPRESSIONS),
        refcount_order=parse_refcount_bits(chosen["refcount_bits"]),
        lazy_refcounts=parse_switch("lazy_refcounts", chosen["lazy_refcounts"]),
        extended_l2=parse_switch("extended_l2", chosen["extended_l2"]),
        preallocation=_one_of("preallocation", chosen["preallocation"], PREALLOCATIONS),
        data_file=chosen["data_file"] or None,
        data_file_raw=parse_switch("data_file_raw", chosen["data_file_raw"]),
        encryption=_one_of("encrypt.format", chosen["encrypt.format"], ENCRYPTIONS),
        luks=_parse_luks(chosen),
    )
    _require_cluster_size(options)
    _require_version(options)
    _require_sense(options, given)
    if options.data_file_raw and options.preallocation == "off":  # the tables map the file to itself, all of it
        return options._replace(preallocation="metadata")
    return options


def parse_version(text: str) -> int:
    if text not in VERSIONS:
        raise UsageError(f"qcow2: compat is {text}, expected 0.10 or 1.1")
    return VERSIONS[text]


def parse_switch(name: str, text: str) -> bool:
    if text not in _ON | _OFF:
        raise UsageError(f"qcow2: {name} is {text}, expected on or off")
    return text in _ON


def parse_refcount_bits(text: str) -> int:
    """The order: a refcount has 1 << order bits."""
    bits = int(text) if text.isdecimal() else 0
    if not is_power_of_two(bits) or bits > _MAX_REFCOUNT_BITS:
        raise UsageError(f"qcow2: refcount_bits is {text}, expected 1, 2, 4, 8, 16, 32 or 64")
    return bits.bit_length() - 1


def require_fit(options: Options, blank: Blank) -> None:
    """UsageError where the options do not go with what the image shall hold."""
    if blank.coded:
        _require_plain(options)
    if blank.backing and options.data_file_raw:
        raise UsageError("qcow2: data_file_raw does not go with a backing file", hint="data_file alone does")
    if blank.backing and options.preallocation != "off" and not options.extended_l2:
        raise UsageError("qcow2: preallocation does not go with a backing file", hint="-o extended_l2=on")
    if options.encryption and blank.secret is None:
        raise UsageError("qcow2: the passphrase of the encrypted image is missing", hint="--new-key-file FILE")


def _require_plain(options: Options) -> None:
    hindrance = {
        "encryption": options.encryption,
        "a data file": options.data_file,
        "preallocation": options.preallocation != "off",
    }
    for name, there in hindrance.items():
        if there:
            raise UsageError(f"qcow2: compression does not go with {name}", hint="leave out -c")


def _one_of(name: str, text: str, values: tuple[str, ...]) -> str:
    if text not in values:
        raise UsageError(f"qcow2: {name} is {text}, expected {' or '.join(filter(None, values))}")
    return text


def _require_cluster_size(options: Options) -> None:
    size = options.cluster_size
    if not is_power_of_two(size) or not 1 << MIN_CLUSTER_BITS <= size <= 1 << MAX_CLUSTER_BITS:
        raise UsageError(f"qcow2: cluster_size is {format_size(size)}, expected a power of two from 512 to 2M")
    if options.extended_l2 and size < MIN_EXTENDED_CLUSTER:
        raise UsageError(f"qcow2: cluster_size is {format_size(size)}, expected 16K at least for extended_l2")


def _require_version(options: Options) -> None:
    if options.version > V2:
        return
    newer = {
        "extended_l2": options.extended_l2,
        "lazy_refcounts": options.lazy_refcounts,
        "refcount_bits other than 16": options.refcount_order != 4,  # noqa: PLR2004  1 << 4 is 16
        "data_file": options.data_file,
        "compression_type zstd": options.compression != COMPRESSIONS[0],
        "preallocation of an encrypted image": options.encryption and options.preallocation != "off",
    }
    for name, wanted in newer.items():
        if wanted:
            raise UsageError(f"qcow2: compat is 0.10, expected 1.1 for {name}", hint="-o compat=1.1")


def _parse_luks(chosen: Mapping[str, str]) -> Luks:
    *words, iter_time = (chosen[_option_of(field)] for field in Luks._fields)
    if not iter_time.isdecimal() or not int(iter_time):
        raise UsageError(f"qcow2: {_option_of('iter_time')} is {iter_time}, expected milliseconds, as in 2000")
    cipher_alg, cipher_mode, ivgen_alg, ivgen_hash_alg, hash_alg = words
    return Luks(cipher_alg, cipher_mode, ivgen_alg, ivgen_hash_alg, hash_alg, int(iter_time))


def _option_of(field: str) -> str:
    return _LUKS + field.replace("_", "-")


def _require_sense(options: Options, given: Mapping[str, str]) -> None:
    if options.data_file_raw and not options.data_file:
        raise UsageError("qcow2: data_file_raw needs a data file", hint="-o data_file=NAME,data_file_raw=on")
    if options.data_file_raw and options.encryption:
        raise UsageError("qcow2: data_file_raw does not go with encryption: the file would be no raw disk")
    luks = [name for name in map(_option_of, Luks._fields) if name in given]
    if luks and options.encryption != "luks":
        raise UsageError(f"qcow2: {luks[0]} is for LUKS alone", hint="-o encrypt.format=luks")
