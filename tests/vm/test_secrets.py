from __future__ import annotations

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.vm import secrets
from virtkit.vm.domain import Domain

REAL = "<domain><name>x</name><devices><graphics type='vnc' passwd='geheim'/></devices></domain>"
SHOWN = REAL.replace("geheim", secrets.STARS)


def test_a_password_in_a_document_is_refused_and_stars_are_not() -> None:
    secrets.refuse(Domain.parse(SHOWN))
    with pytest.raises(NotSupportedError, match="holds a password"):
        secrets.refuse(Domain.parse(REAL))


@pytest.mark.parametrize("shown", [SHOWN, SHOWN.replace(f" passwd='{secrets.STARS}'", "")])
def test_what_is_hidden_becomes_what_libvirt_has(shown: str) -> None:
    document = Domain.parse(shown.replace("'vnc'", "'vnc' port='5901'"))
    secrets.graft(document, Domain.parse(REAL))
    assert document.node.find("devices/graphics[@passwd='geheim'][@port='5901']") is not None


def test_stars_never_become_a_password() -> None:
    document = Domain.parse(SHOWN)
    secrets.graft(document, Domain.parse("<domain><name>x</name></domain>"))
    assert "passwd" not in document.text()
