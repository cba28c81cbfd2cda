from __future__ import annotations

from dataclasses import replace

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.vm import library, offer
from virtkit.vm.blueprint import Blueprint
from virtkit.vm.offer import Offer

EFI, NO = "<value>efi</value>", "<value>no</value>"
PLAIN = Blueprint("web1", 64 << 20, 1)
CAPABILITIES = """<domainCapabilities><os supported='yes'>
<enum name='firmware'>{firmware}</enum><loader supported='yes'><enum name='type'><value>rom</value></enum>
<enum name='secure'>{secure}</enum></loader></os><devices><tpm supported='yes'><enum name='model'><value>tpm-crb</value>
</enum><enum name='backendModel'>{tpm}</enum></tpm></devices></domainCapabilities>"""


class Answering:
    """As ``Connection``, of a host that says so of itself."""

    def __init__(self, firmware: str = "", secure: str = "", tpm: str = "") -> None:
        self.text = CAPABILITIES.format(firmware=firmware, secure=secure, tpm=tpm)
        self.host = library.Handle(self, "host")

    def getDomainCapabilities(self, *_: object) -> str:  # noqa: N802  libvirt's name
        return self.text


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (("", "", ""), Offer(efi=False, secure=False, tpm=False)),
        ((EFI, NO, "<value>passthrough</value>"), Offer(efi=True, secure=False, tpm=False)),
        ((EFI, f"{NO}<value>yes</value>", "<value>emulator</value>"), Offer(efi=True, secure=True, tpm=True)),
        (("", "<value>yes</value>", ""), Offer(efi=False, secure=False, tpm=False)),
    ],
)
def test_what_the_host_says_of_itself_is_read(said: tuple[str, str, str], found: Offer) -> None:
    assert offer.read(Answering(*said), "q35", kvm=False) == found  # type: ignore[arg-type]  # it is asked for that alone


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (replace(PLAIN, firmware="efi"), "apt install ovmf"),
        (replace(PLAIN, firmware="secure"), "apt install ovmf"),
        (replace(PLAIN, tpm=True), "apt install swtpm"),
    ],
)
def test_what_is_not_offered_is_refused_with_the_package_that_has_it(plan: Blueprint, told: str) -> None:
    with pytest.raises(NotSupportedError) as caught:
        offer.require(plan, Offer(efi=False, secure=False, tpm=False))
    assert told in caught.value.hint
    offer.require(plan, Offer(efi=True, secure=True, tpm=True))
    offer.require(PLAIN, Offer(efi=False, secure=False, tpm=False))


def test_a_firmware_without_secure_boot_is_not_taken_for_one_with_it() -> None:
    with pytest.raises(NotSupportedError, match="Secure Boot is asked for"):
        offer.require(replace(PLAIN, firmware="secure"), Offer(efi=True, secure=False, tpm=False))
