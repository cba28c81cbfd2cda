"""How the golden images were made: the commands of other tools, one image for each feature of a format."""

from __future__ import annotations

from typing import NamedTuple

SECRET = "correct horse battery staple"
_KEY = "--object secret,id=k,file=key"
_VBOX = "/usr/lib/virtualbox"


class Recipe(NamedTuple):
    """``commands`` run where ``disk.raw`` and ``key`` are; ``read`` writes what a guest sees to ``seen.raw``."""

    name: str
    format: str
    feature: str
    tool: str  # qemu7, qemu10, virtualbox, uml
    files: tuple[str, ...]  # of the image, what is opened first; backing images last
    commands: tuple[str, ...]
    read: str = ""
    secret: bool = False


def _qemu(name: str, feature: str, *commands: str, more: tuple[str, ...] = (), tool: str = "qemu7") -> Recipe:
    """``{f}`` is the image. Without commands of another kind it is converted from disk.raw."""
    kind = name.partition("-")[0]
    file = f"{name}.{kind}"
    return Recipe(
        f"{tool}-{name}",
        kind,
        feature,
        tool,
        (file, *more),
        tuple(command.format(f=file, k=kind) for command in commands),
        f"qemu-img convert -f {kind} -O raw {file} seen.raw",
    )


def _convert(name: str, feature: str, options: str = "", *then: str, tool: str = "qemu7") -> Recipe:
    return _qemu(name, feature, f"qemu-img convert -f raw -O {{k}} {options} disk.raw {{f}}", *then, tool=tool)


def _locked(name: str, feature: str, kind: str, tool: str = "qemu7") -> Recipe:
    """Encrypted, with the passphrase of ``key``. Ciphertext does not pack, so there is little of it."""
    suffix = name.partition("-")[0]
    file = f"{name}.{suffix}"
    image = f"driver={suffix},encrypt.key-secret=k,file.filename={file}"
    quick = ",encrypt.iter-time=10" if kind == "luks" else ""
    small = ",cluster_size=4k" if suffix == "qcow2" else ""
    make = (
        f"qemu-img create -q {_KEY} -f {suffix} -o encrypt.format={kind},encrypt.key-secret=k{quick}{small} {file} 1M"
    )
    write = (
        f"qemu-io {_KEY} -c 'write -P 9 10k 20k' -c 'write -P 8 500k 9k' -c 'write -P 7 1023k 1k' --image-opts {image}"
    )
    read = f"qemu-img convert {_KEY} --image-opts {image} -O raw seen.raw"
    return Recipe(f"{tool}-{name}", suffix, feature, tool, (file,), (make, write), read, secret=True)


def _by_vbox(source: str, kind: str, target: str, more: str = "") -> str:
    """A command that converts between ``raw`` and VirtualBox's formats."""
    kinds = f"--srcformat RAW --dstformat {kind}" if source.endswith(".raw") else f"--srcformat {kind} --dstformat RAW"
    return f"{_VBOX}/vbox-img convert --srcfilename {source} --dstfilename {target} {kinds} {more}".strip()


def _vbox(name: str, feature: str, variant: str, files: tuple[str, ...] = ()) -> Recipe:
    kind = name.partition("-")[0]
    file = f"{name}.{kind}"
    make = _by_vbox("disk.raw", kind.upper(), file, f"--variant {variant}")
    read = _by_vbox(file, kind.upper(), "seen.raw")
    return Recipe(f"virtualbox-{name}", kind, feature, "virtualbox", files or (file,), (make,), read)


def _children(kind: str) -> Recipe:
    """A disk on a disk on a disk, each written to by VirtualBox itself."""
    manage = f"{_VBOX}/VBoxManage"
    base, middle, top = (f"{name}.{kind}" for name in ("base", "middle", "top"))
    here = "$PWD/"
    create = f"{manage} createmedium disk --format {kind.upper()}"
    return Recipe(
        f"virtualbox-{kind}-differencing",
        kind,
        "differencing" if kind == "vdi" else "delta with parent",
        "virtualbox",
        (top, middle, base),
        (
            _by_vbox("disk.raw", kind.upper(), base),
            f"{create} --filename {here}{middle} --diffparent {here}{base}",
            f"{manage} mediumio --disk={here}{middle} formatfat --quick",
            f"{create} --filename {here}{top} --diffparent {here}{middle}",
            f"{manage} mediumio --disk={here}{top} formatfat --quick",
        ),
        f"{manage} mediumio --disk={here}{top} cat --output={here}seen.raw",
    )


_PATCHES = "qemu-io -f {k} -c 'write -P 9 100k 200k' -c 'write -z 1M 256k' -c 'discard 2M 192k' {f}"

RECIPES = (
    _convert("raw-odd", "sparse", "-o preallocation=off"),
    _convert("raw-full", "preallocation=full", "-o preallocation=full"),
    _convert("qcow2-v3", "v3, 64K clusters"),
    _convert("qcow2-v2", "v2 (compat 0.10)", "-o compat=0.10"),
    _convert("qcow2-v2c", "v2, compressed", "-c -o compat=0.10"),
    _convert("qcow2-512", "512 B clusters", "-o cluster_size=512"),
    _convert("qcow2-2M", "2 MiB clusters", "-o cluster_size=2M"),
    *(
        _convert(f"qcow2-r{bits}", f"refcounts of {bits} bits", f"-o refcount_bits={bits}")
        for bits in (1, 2, 4, 8, 32, 64)
    ),
    _convert("qcow2-lazy", "lazy refcounts", "-o lazy_refcounts=on"),
    _convert(
        "qcow2-dirty",
        "dirty bit",
        "-o lazy_refcounts=on",
        "qemu-io -c 'write -P 5 3M 64k' -c flush -c abort {f} || true",
    ),
    _convert("qcow2-zlib", "zlib", "-c"),
    _convert("qcow2-zlib-patched", "zlib, partly overwritten", "-c", _PATCHES),
    _convert("qcow2-zlib-512", "zlib, 512 B clusters", "-c -o cluster_size=512"),
    _convert("qcow2-zlib-2M", "zlib, 2 MiB clusters", "-c -o cluster_size=2M"),
    _convert("qcow2-zstd", "zstd", "-c -o compression_type=zstd"),
    _convert("qcow2-zstd-4K", "zstd, 4 KiB clusters", "-c -o compression_type=zstd,cluster_size=4k", _PATCHES),
    _convert("qcow2-metadata", "preallocation=metadata", "-o preallocation=metadata"),
    _convert("qcow2-falloc", "preallocation=falloc", "-o preallocation=falloc"),
    _convert("qcow2-full", "preallocation=full", "-o preallocation=full"),
    _convert(
        "qcow2-extended",
        "extended L2",
        "-o extended_l2=on",
        "qemu-io -c 'write -P 3 10k 6k' -c 'write -z 1030k 4k' {f}",
    ),
    _convert("qcow2-extended-c", "extended L2, zlib", "-c -o extended_l2=on", _PATCHES),
    _qemu(
        "qcow2-datafile",
        "external data file",
        "qemu-img convert -f raw -O qcow2 -o data_file=qcow2-datafile.data disk.raw {f}",
        more=("qcow2-datafile.data",),
    ),
    _qemu(
        "qcow2-rawdata",
        "external raw data file",
        "qemu-img convert -f raw -O qcow2 -o data_file=qcow2-rawdata.data,data_file_raw=on disk.raw {f}",
        more=("qcow2-rawdata.data",),
    ),
    _qemu(
        "qcow2-backing",
        "backing file, raw",
        "cp disk.raw below.raw",
        "qemu-img create -q -f qcow2 -b below.raw -F raw {f} 6M",
        _PATCHES,
        more=("below.raw",),
    ),
    _qemu(
        "qcow2-chain",
        "backing file, qcow2, longer than the image",
        "qemu-img convert -f raw -O qcow2 -c disk.raw below.qcow2",
        "qemu-img create -q -f qcow2 -o cluster_size=4k -b below.qcow2 -F qcow2 {f} 3M",
        _PATCHES,
        more=("below.qcow2",),
    ),
    _qemu(
        "qcow2-nested",
        "extended L2 over a backing file",
        "cp disk.raw below.raw",
        "qemu-img create -q -f qcow2 -o extended_l2=on -b below.raw -F raw {f}",
        _PATCHES,
        "qemu-io -c 'write -P 4 6k 2k' -c 'write -z 514k 4k' -c 'discard 64k 2k' {f}",
        more=("below.raw",),
    ),
    _convert(
        "qcow2-snapshots",
        "internal snapshots",
        "",
        "qemu-img snapshot -c first {f}",
        _PATCHES,
        "qemu-img snapshot -c second {f}",
        "qemu-io -c 'write -P 7 0 64k' {f}",
    ),
    _convert(
        "qcow2-vmstate",
        "internal snapshot with the machine's state",
        "",
        "printf 'savevm running\\nquit\\n' | qemu-system-x86_64 -accel tcg -M isapc -m 2 -nodefaults -display none -S"
        " -drive if=none,id=d,file={f} -monitor stdio",
        "qemu-io -c 'write -P 6 1M 64k' {f}",
    ),
    _convert(
        "qcow2-bitmaps", "bitmaps", "", "qemu-img bitmap --add -g 64k {f} monday", "qemu-io -c 'write -P 8 1M 128k' {f}"
    ),
    _convert(
        "qcow2-zeros",
        "zero clusters, with and without room",
        "-S 0",
        "qemu-io -c 'write -z 64k 256k' -c 'write -z -u 1M 1M' {f}",
    ),
    _locked("qcow2-luks", "LUKS", "luks"),
    _locked("qcow2-aes", "AES (legacy)", "aes"),
    _locked("qcow-aes", "AES", "aes"),
    _convert("qcow-plain", "plain"),
    _qemu("qcow-zlib", "compressed", "qemu-img convert -f raw -c -O qcow disk.raw {f} || true"),
    _qemu(
        "qcow-backing",
        "backing file",
        "qemu-img convert -f raw -O qcow2 disk.raw below.qcow2",
        "qemu-img create -q -f qcow -b below.qcow2 -F qcow2 {f} 2>/dev/null",
        "qemu-io -f qcow -c 'write -P 9 100k 200k' {f}",
        more=("below.qcow2",),
    ),
    _convert("vmdk-sparse", "monolithicSparse"),
    _convert(
        "vmdk-zeroed",
        "monolithicSparse, zeroed grains",
        "-o zeroed_grain=on",
        "qemu-io -f vmdk -c 'write -z 1M 256k' {f}",
    ),
    _convert("vmdk-compat6", "monolithicSparse, compat6", "-o compat6=on"),
    _convert("vmdk-lsilogic", "monolithicSparse, lsilogic", "-o adapter_type=lsilogic,hwversion=9"),
    _convert("vmdk-stream", "streamOptimized", "-o subformat=streamOptimized"),
    _qemu(
        "vmdk-flat",
        "monolithicFlat",
        "qemu-img convert -f raw -O vmdk -o subformat=monolithicFlat disk.raw {f}",
        more=("vmdk-flat-flat.vmdk",),
    ),
    _qemu(
        "vmdk-2gsparse",
        "twoGbMaxExtentSparse",
        "qemu-img convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse disk.raw {f}",
        more=("vmdk-2gsparse-s001.vmdk",),
    ),
    _qemu(
        "vmdk-2gflat",
        "twoGbMaxExtentFlat",
        "qemu-img convert -f raw -O vmdk -o subformat=twoGbMaxExtentFlat disk.raw {f}",
        more=("vmdk-2gflat-f001.vmdk",),
    ),
    _qemu(
        "vmdk-delta",
        "delta with parent",
        "qemu-img convert -f raw -O vmdk disk.raw below.vmdk",
        "qemu-img create -q -f vmdk -b below.vmdk -F vmdk {f}",
        "qemu-io -f vmdk -c 'write -P 9 100k 200k' {f}",
        more=("below.vmdk",),
    ),
    _convert("vdi-dynamic", "dynamic"),
    _convert("vdi-static", "static", "-o static=on"),
    _convert("qcow2-v3", "v3, 64K clusters", tool="qemu10"),
    _convert("qcow2-zstd", "zstd", "-c -o compression_type=zstd", tool="qemu10"),
    _convert("qcow2-extended", "extended L2", "-o extended_l2=on", _PATCHES, tool="qemu10"),
    _convert("qcow2-snapshots", "internal snapshots", "", "qemu-img snapshot -c first {f}", _PATCHES, tool="qemu10"),
    _locked("qcow2-luks", "LUKS", "luks", tool="qemu10"),
    _convert("vmdk-stream", "streamOptimized", "-o subformat=streamOptimized", tool="qemu10"),
    _convert("vdi-dynamic", "dynamic", tool="qemu10"),
    _vbox("vdi-standard", "dynamic", "Standard"),
    _vbox("vdi-fixed", "static", "Fixed"),
    _vbox("vmdk-standard", "monolithicSparse", "Standard"),
    _vbox("vmdk-split", "twoGbMaxExtentSparse", "Split2G"),
    _vbox("vmdk-fixed", "monolithicFlat", "Fixed", ("vmdk-fixed.vmdk", "vmdk-fixed-flat.vmdk")),
    _vbox("vmdk-stream", "streamOptimized", "Stream"),
    _vbox("qcow-standard", "plain", "Standard")._replace(
        commands=("truncate -s 6M disk.raw", _by_vbox("disk.raw", "QCOW", "qcow-standard.qcow"))
    ),
    _children("vdi"),
    _children("vmdk"),
    Recipe(
        "uml-cow-empty",
        "cow",
        "User-Mode Linux's",
        "uml",
        ("empty.cow", "below.raw"),
        ("cp disk.raw below.raw", "touch -d @1700000000 below.raw", "uml_mkcow empty.cow below.raw"),
        "cp below.raw seen.raw",
    ),
    Recipe(
        "uml-cow-written",
        "cow",
        "User-Mode Linux's",
        "uml",
        ("written.cow", "below.raw"),
        (
            "head -c 5242880 disk.raw >below.raw; touch -d @1700000000 below.raw",
            "sh {here}/uml.sh write written.cow below.raw",
        ),
        "sh {here}/uml.sh read written.cow below.raw seen.raw",
    ),
)
