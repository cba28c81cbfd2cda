"""What we write: one image for each feature of a format, converted and written in place."""

from __future__ import annotations

from typing import NamedTuple


class Ours(NamedTuple):
    """``flags`` are those of ``disk convert``; with ``backing`` the image is made on it and written in place."""

    format: str
    feature: str
    flags: str = ""
    backing: str = ""  # its format
    live: bool = True  # whether it can be written in place
    secret: bool = False


SAMPLES = (
    Ours("raw", "sparse"),
    Ours("raw", "preallocation=full", "-o preallocation=full"),
    Ours("qcow2", "v3, 64K clusters"),
    Ours("qcow2", "v2 (compat 0.10)", "-o compat=0.10"),
    Ours("qcow2", "512 B clusters", "-o cluster_size=512"),
    Ours("qcow2", "2 MiB clusters", "-o cluster_size=2M"),
    *(Ours("qcow2", f"refcounts of {bits} bits", f"-o refcount_bits={bits}") for bits in (1, 2, 4, 8, 32, 64)),
    Ours("qcow2", "lazy refcounts", "-o lazy_refcounts=on"),
    Ours("qcow2", "zlib", "-c"),
    Ours("qcow2", "zlib, 512 B clusters", "-c -o cluster_size=512"),
    Ours("qcow2", "zlib, 2 MiB clusters", "-c -o cluster_size=2M"),
    Ours("qcow2", "zstd", "-c -o compression_type=zstd"),
    Ours("qcow2", "preallocation=metadata", "-o preallocation=metadata"),
    Ours("qcow2", "preallocation=falloc", "-o preallocation=falloc"),
    Ours("qcow2", "preallocation=full", "-o preallocation=full"),
    Ours("qcow2", "extended L2", "-o extended_l2=on"),
    Ours("qcow2", "extended L2, zlib", "-c -o extended_l2=on"),
    Ours("qcow2", "external data file", "-o data_file=sample.data"),
    Ours("qcow2", "external raw data file", "-o data_file=sample.data,data_file_raw=on"),
    Ours("qcow2", "backing file, raw", backing="raw"),
    Ours("qcow2", "backing file, qcow2", backing="qcow2"),
    Ours("qcow2", "extended L2 over a backing file", "-o extended_l2=on", backing="raw"),
    Ours("qcow2", "v2 over a backing file", "-o compat=0.10", backing="raw"),
    Ours("qcow2", "LUKS", "--encrypt luks", secret=True),
    Ours("qcow2", "AES (legacy)", "--encrypt aes", secret=True),
    Ours("qcow", "plain"),
    Ours("qcow", "compressed", "-c"),
    Ours("qcow", "backing file", backing="raw"),
    Ours("qcow", "AES", "--encrypt aes", secret=True),
    Ours("cow", "QEMU's", "-o variant=qemu"),
    Ours("cow", "User-Mode Linux's", "-o variant=uml", backing="raw"),
    Ours("vmdk", "monolithicSparse"),
    Ours("vmdk", "monolithicSparse, zeroed grains", "-o zeroed_grain=on"),
    Ours("vmdk", "monolithicSparse, compat6", "-o compat6=on"),
    Ours("vmdk", "monolithicFlat", "-o subformat=monolithicFlat"),
    Ours("vmdk", "twoGbMaxExtentSparse", "-o subformat=twoGbMaxExtentSparse"),
    Ours("vmdk", "twoGbMaxExtentFlat", "-o subformat=twoGbMaxExtentFlat"),
    Ours("vmdk", "streamOptimized", "-o subformat=streamOptimized", live=False),
    Ours("vmdk", "delta with parent", backing="vmdk"),
    Ours("vdi", "dynamic"),
    Ours("vdi", "static", "-o static=on"),
    Ours("vdi", "differencing", backing="vdi"),
    Ours("luks", "LUKS alone", secret=True),
)
