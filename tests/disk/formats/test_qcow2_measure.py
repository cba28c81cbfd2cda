"""Sizes of new images are those that qemu-img measures, and no image that we write becomes longer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import disk, run
from virtkit import disk as virtkit
from virtkit.core.errors import UsageError
from virtkit.disk.format import Blank, Measured
from virtkit.disk.formats.qcow2 import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from virtkit.disk.file import File

pytestmark = pytest.mark.qemu
KIB, MIB, TIB = 1 << 10, 1 << 20, 1 << 40


def ours(size: int, options: Mapping[str, str], data: int = 0) -> Measured:
    def nothing_beside(name: str) -> File:
        raise AssertionError(name)

    return FORMAT.measure(Blank(size, data, options, nothing_beside))


def theirs(options: Mapping[str, str], *what: str | Path) -> Measured:
    words = ["-o", ",".join(f"{name}={value}" for name, value in options.items())] if options else []
    told = json.loads(run("qemu-img", "measure", "--output", "json", "-O", "qcow2", *words, *what))
    return Measured(told["required"], told["fully-allocated"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, dict[str, str]]:
    bits = draw(st.integers(9, 21))
    options = {"cluster_size": str(1 << bits)}
    if bits >= 14 and draw(st.booleans()):
        options["extended_l2"] = "on"
    options["refcount_bits"] = str(1 << draw(st.integers(0, 6)))
    options["preallocation"] = draw(st.sampled_from(["off", "metadata", "falloc", "full"]))
    most = min(1 << 2 * bits - 3 + 22 - ("extended_l2" in options), 10 * TIB)
    return 512 * draw(st.integers(0, most // 512)), options


@settings(max_examples=deep(20), deadline=None)
@given(cases())
def test_any_disk_is_measured_as_qemu_img_does(case: tuple[int, dict[str, str]]) -> None:
    size, options = case
    assert ours(size, options) == theirs(options, "--size", str(size))


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({}, 3 * MIB + 64 * KIB),
        ({"cluster_size": "4K"}, 3 * MIB + 64 * KIB),
        ({"cluster_size": "2M", "extended_l2": "on"}, 6 * MIB),
    ],
)
def test_a_disk_with_data_is_measured_as_qemu_img_does(options: dict[str, str], data: int, tmp_path: Path) -> None:
    source = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", source, "20M")
    run("qemu-io", "-f", "qcow2", "-c", "write 1M 3M", "-c", "write 9M 64k", source)
    assert ours(20 * MIB, options, data) == theirs(options, "-f", "qcow2", source)


@pytest.mark.parametrize("bits", ["128", "192", "256"])
def test_key_material_is_measured_as_qemu_img_does(bits: str, tmp_path: Path) -> None:
    options = {"encrypt.format": "luks", "encrypt.cipher-alg": f"aes-{bits}", "cluster_size": "4096"}
    key = ("--object", "secret,id=k,data=abc")
    told = theirs(options | {"encrypt.key-secret": "k", "encrypt.iter-time": "10"}, *key, "--size", "10M")
    assert ours(10 << 20, options) == told


def test_a_disk_that_is_too_big_is_refused_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too big for clusters of 512 B") as caught:
        ours(1 * TIB, {"cluster_size": "512"})
    helps = caught.value.hint.removeprefix("-o cluster_size=")
    ours(1 * TIB, {"cluster_size": helps})
    with pytest.raises(UsageError):
        ours(1 * TIB, {"cluster_size": str(int(helps) // 2)})


def test_for_a_disk_that_is_too_big_for_any_clusters_another_format_is_named() -> None:
    with pytest.raises(UsageError, match="too big for clusters of 2 MiB") as caught:
        ours(1 << 62, {"cluster_size": "2M"})
    assert "cluster_size" not in caught.value.hint
    assert "raw" in caught.value.hint


@settings(max_examples=deep(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    options=st.fixed_dictionaries(
        {
            "cluster_size": st.sampled_from(["512", "4K", "64K", "2M"]),
            "refcount_bits": st.sampled_from(["1", "16", "64"]),
            "preallocation": st.sampled_from(["off", "metadata", "full"]),
        }
    )
)
def test_no_image_becomes_longer_than_was_measured(options: dict[str, str], tmp_path: Path) -> None:
    source, target = tmp_path / "a.raw", tmp_path / "a.qcow2"
    source.write_bytes(disk())
    virtkit.convert(str(source), str(target), source_format="raw", options=options, overwrite=True)
    assert target.stat().st_size <= ours(len(disk()), options).fully_allocated
