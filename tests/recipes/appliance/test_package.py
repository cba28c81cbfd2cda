from __future__ import annotations

import gzip
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import appliances
from virtkit.core.errors import ImageError, NotFoundError, UsageError, VirtkitError
from virtkit.recipes.appliance import manifest
from virtkit.recipes.appliance.package import Package, open_package

if TYPE_CHECKING:
    from pathlib import Path

DISK = b"disk" * 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vm.ovf").write_text(appliances.ovf({"disk.vmdk": 8}))
    (tmp_path / "disk.vmdk").write_bytes(DISK)
    (tmp_path / "vm.mf").write_text(appliances.manifest(tmp_path, "vm.ovf", "disk.vmdk"))
    return tmp_path


@pytest.fixture(params=["directory", "ustar", "gnu", "pax"])
def package(request: pytest.FixtureRequest, folder: Path) -> Package:
    if request.param == "directory":
        return open_package(str(folder / "vm.ovf"))
    target = folder / "vm.ova"
    formats = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    if request.param == "ustar":
        appliances.ova(target, folder, "vm.ovf", "vm.mf", "disk.vmdk")
    else:
        with tarfile.open(target, "w", format=formats[request.param]) as archive:
            for name in ("vm.ovf", "vm.mf", "disk.vmdk"):
                archive.add(folder / name, f"./{name}")
    return open_package(str(target))


def test_the_description_and_the_files_are_found_where_they_lie(package: Package) -> None:
    found = package.appliance()
    assert [disk.file for disk in found.disks] == ["disk.vmdk"]
    stretch = package.stretch("disk.vmdk")
    with open(stretch.path, "rb") as file:
        file.seek(stretch.start)
        assert file.read(len(DISK)) == DISK


def test_the_manifest_proves_every_file(package: Package) -> None:
    assert manifest.find(package) == "vm.mf"
    manifest.prove(package)


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA512"])
def test_one_changed_byte_is_noticed(algorithm: str, folder: Path) -> None:
    (folder / "vm.mf").write_text(appliances.manifest(folder, "vm.ovf", "disk.vmdk", algorithm=algorithm))
    package = open_package(str(folder / "vm.ovf"))
    manifest.prove(package)
    (folder / "disk.vmdk").write_bytes(DISK[:-1] + b"!")
    with pytest.raises(ImageError, match=f"{algorithm} of disk.vmdk is"):
        manifest.prove(package)


@pytest.mark.parametrize("line", ["hello", "SHA256(vm.ovf)= 12", "MD5(vm.ovf)= d41d8cd98f00b204e9800998ecf8427e"])
def test_a_manifest_that_says_something_else_is_refused(line: str, folder: Path) -> None:
    (folder / "vm.mf").write_text(f"{line}\n")
    with pytest.raises(ImageError, match="line 1 is"):
        manifest.prove(open_package(str(folder / "vm.ovf")))


def test_a_file_of_the_manifest_that_is_missing_is_named(folder: Path) -> None:
    (folder / "disk.vmdk").unlink()
    with pytest.raises(NotFoundError, match=r"disk.vmdk is not beside it"):
        manifest.prove(open_package(str(folder / "vm.ovf")))


def test_a_link_that_leads_out_is_not_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("secret")
    (folder / "disk.vmdk").unlink()
    (folder / "disk.vmdk").symlink_to(outside)
    with pytest.raises(ImageError, match="leads out of"):
        open_package(str(folder / "vm.ovf")).stretch("disk.vmdk")
    appliances.ova(folder / "vm.ova", folder, "vm.ovf", "disk.vmdk")
    with pytest.raises(NotFoundError, match="is not in it"):
        open_package(str(folder / "vm.ova")).stretch("disk.vmdk")


def archive(path: Path, *members: tuple[str, bytes]) -> str:
    with tarfile.open(path, "w") as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return str(path)


def test_what_is_no_appliance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"holds 0 descriptions, expected one .ovf"):
        open_package(archive(tmp_path / "a.ova", ("a.vmdk", b"x")))
    with pytest.raises(ImageError, match="holds 2 descriptions"):
        open_package(archive(tmp_path / "b.ova", ("a.ovf", b"x"), ("b.ovf", b"x")))
    with pytest.raises(ImageError, match=r"holds a.ovf twice"):
        open_package(archive(tmp_path / "c.ova", ("a.ovf", b"x"), ("a.ovf", b"y")))
    (tmp_path / "d.ova").write_bytes(gzip.compress(b"x" * 1000))
    with pytest.raises(ImageError, match="is compressed as a whole"):
        open_package(str(tmp_path / "d.ova"))
    (tmp_path / "e.ova").write_bytes(b"x" * 2000)
    with pytest.raises(ImageError, match="is no tar archive"):
        open_package(str(tmp_path / "e.ova"))
    with pytest.raises(UsageError, match=r"expected .ova, .ovf, .vmx or .vbox"):
        open_package(archive(tmp_path / "f.tar", ("a.ovf", b"x")))
    with pytest.raises(NotFoundError):
        open_package(str(tmp_path / "g.ova"))


def test_a_header_that_says_it_is_gigabytes_long_is_not_read(tmp_path: Path) -> None:
    path, header = tmp_path / "a.ova", tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 3 << 30
    path.write_bytes(header.tobuf(tarfile.PAX_FORMAT))
    os.truncate(path, 4 << 30)
    with pytest.raises(ImageError, match="a header is 3221225472 bytes long"):
        open_package(str(path))


def test_headers_on_headers_have_an_end(tmp_path: Path) -> None:
    path, header = tmp_path / "a.ova", tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 0
    path.write_bytes(header.tobuf() * 5000)
    with pytest.raises(ImageError, match="is no tar archive"):
        open_package(str(path))


def test_an_archive_of_directories_alone_has_an_end(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.ova", tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    path.write_bytes(folder.tobuf() * 5000)
    with pytest.raises(ImageError, match="holds more than 4096 files"):
        open_package(str(path))


@given(data=st.data())
def test_an_archive_that_somebody_bent_is_read_or_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bent")
    content = bytearray(appliances.OVF.encode()[:2000])
    path = folder / "a.ova"
    archive(path, ("a.ovf", bytes(content)), ("b", b"x" * 700))
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, 1100))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        package = open_package(str(path))
        package.read(package.description)
        for name in package.members:
            package.read(name)
    except VirtkitError:
        pass
