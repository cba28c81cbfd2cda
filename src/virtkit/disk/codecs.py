"""Compression: one unit (a cluster, a grain) in, one unit out. Nothing is imported before it is needed.

The deflate of qcow2 is raw and has a window of 4 KiB, as QEMU writes it: readers that inflate in small steps reject
longer distances, so we never write them, and read with the full window. libdeflate cannot limit its window: it
decodes, and encodes VMDK, whose deflate has a zlib header and the usual 32 KiB.

Each level is the fastest that was found for its size beside qemu-img's: at most a tenth more; at most a twentieth more
(the same for zstd and VMDK); never more. docs/en/compression.md has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, UsageError
from virtkit.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from virtkit.disk.format import Buffer, Decode, Extent

    Encode: TypeAlias = Callable[[Buffer], bytes | None]
    _Inflate: TypeAlias = Callable[[Buffer, int], bytes | bytearray]  # at most that many bytes; ValueError

LEVELS = ("fast", "default", "best")
_OLD_LEVELS = {"balanced": "default", "small": "best"}
_QCOW2_WINDOW, _FULL_WINDOW = -12, -15  # window bits; negative: raw, without header and checksum
_ZLIB_HEADER = 15  # window bits of a stream with header and checksum
_MOST_MEMORY = 9  # of zlib's levels of it: larger blocks, fewer of them
_ZSTD_WINDOW = 8 * MIB  # bytes of memory that a frame may ask for
_ZSTD_LEVELS = {"fast": 1, "default": 3, "best": 9}
_ISAL_LEVELS = {"zlib": 2, "vmdk": 3}  # for "fast"
_ZLIB_NG_LEVELS = {"default": 5, "best": 9}
_LIBDEFLATE_LEVELS = {"default": 5, "best": 9}


def decoder(name: str, unit: int) -> Decode:
    """Decode ``zlib`` and ``zstd`` as in qcow2, ``vmdk`` as in VMDK, to at most ``unit`` bytes.

    CorruptImageError where the stored bytes are something else, or end before the extent does.
    """
    inflate = _INFLATERS[name]()
    whole = name != "vmdk"  # the last grain of a VMDK may end with the disk

    def decode(extent: Extent, stored: Buffer) -> Buffer:
        try:
            data = inflate(stored, unit)
        except ValueError as error:
            raise _corrupt(extent, str(error), f"{name} data") from error
        needed = unit if whole else extent.skip + extent.length
        if len(data) < needed:
            raise _corrupt(extent, f"{len(data)} bytes decoded", f"{needed} bytes")
        return data

    return decode


def encoder(name: str, level: str, *, always: bool = False) -> Encode:
    """Encode one unit; None where the result is not shorter, unless ``always``.

    ``name`` as for decoder, ``level`` one of LEVELS.
    """
    require_level(level)
    if name not in _DEFLATERS:
        raise UsageError(f"compression type is {name}, expected {', '.join(_DEFLATERS)}")
    deflate = _DEFLATERS[name](level)

    def encode(unit: Buffer) -> bytes | None:
        coded = deflate(unit)
        return coded if always or len(coded) < len(unit) else None

    return encode


def require_level(level: str) -> None:
    """UsageError unless it is one of LEVELS."""
    if level not in LEVELS:
        hint = f"--level {_OLD_LEVELS[level]}" if level in _OLD_LEVELS else ""
        raise UsageError(f"compression level is {level}, expected one of {', '.join(LEVELS)}", hint=hint)


def _corrupt(extent: Extent, found: str, expected: str) -> CorruptImageError:
    image = extent.file.name if extent.file else "image"
    return CorruptImageError(image, "compressed data", found=found, expected=expected, offset=extent.at)


def _raw_inflater() -> _Inflate:
    from deflate import DeflateError, deflate_decompress

    def inflate(stored: Buffer, limit: int) -> bytes | bytearray:
        try:
            done: bytearray = deflate_decompress(stored, limit)
        except DeflateError:  # no end of the stream within the unit: QEMU takes that where the unit is full
            return _inflate_some(stored, limit, _FULL_WINDOW)
        return done

    return inflate


def _zlib_inflater() -> _Inflate:
    from deflate import DeflateError, zlib_decompress

    def inflate(stored: Buffer, limit: int) -> bytes | bytearray:
        try:
            done: bytearray = zlib_decompress(stored, limit)
        except DeflateError:
            return _inflate_some(stored, limit, _ZLIB_HEADER)
        return done

    return inflate


def _inflate_some(stored: Buffer, limit: int, window: int) -> bytes:
    import zlib

    try:
        return zlib.decompressobj(window).decompress(stored, limit)
    except zlib.error as error:
        raise ValueError(str(error).lower()) from error


def _zstd_inflater() -> _Inflate:
    import threading

    import zstandard

    contexts = threading.local()  # a context serves one thread at a time, and making one costs more than using it

    def inflate(stored: Buffer, limit: int) -> bytes | bytearray:
        try:
            if zstandard.frame_content_size(stored) > limit:  # room for that many bytes would be made first
                raise ValueError("a frame that is too long")
            if not hasattr(contexts, "zstd"):
                contexts.zstd = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            done: bytes = contexts.zstd.decompress(stored, max_output_size=limit, allow_extra_data=True)
        except zstandard.ZstdError as error:
            raise ValueError(str(error).lower()) from error
        return done

    return inflate


def _qcow2_deflater(level: str) -> Callable[[Buffer], bytes]:
    if level == "fast":
        return _isal("zlib", _QCOW2_WINDOW)
    from zlib_ng import zlib_ng

    effort = _ZLIB_NG_LEVELS[level]

    def deflate(unit: Buffer) -> bytes:
        stream = zlib_ng.compressobj(effort, zlib_ng.DEFLATED, _QCOW2_WINDOW, _MOST_MEMORY)
        return bytes(stream.compress(unit) + stream.flush())

    return deflate


def _vmdk_deflater(level: str) -> Callable[[Buffer], bytes]:
    if level == "fast":
        return _isal("vmdk", _ZLIB_HEADER)
    from deflate import zlib_compress

    effort = _LIBDEFLATE_LEVELS[level]
    return lambda unit: bytes(zlib_compress(unit, effort))


def _isal(name: str, window: int) -> Callable[[Buffer], bytes]:
    from isal import isal_zlib

    effort = _ISAL_LEVELS[name]
    return lambda unit: isal_zlib.compress(unit, effort, window)


def _zstd_deflater(level: str) -> Callable[[Buffer], bytes]:
    import threading

    import zstandard

    contexts = threading.local()

    def deflate(unit: Buffer) -> bytes:
        if not hasattr(contexts, "zstd"):
            contexts.zstd = zstandard.ZstdCompressor(level=_ZSTD_LEVELS[level], write_checksum=False)
        coded: bytes = contexts.zstd.compress(unit)
        return coded

    return deflate


_INFLATERS = {"zlib": _raw_inflater, "zstd": _zstd_inflater, "vmdk": _zlib_inflater}
_DEFLATERS = {"zlib": _qcow2_deflater, "zstd": _zstd_deflater, "vmdk": _vmdk_deflater}
