from __future__ import annotations

import pytest

from virtkit.vm.domain import Domain
from virtkit.vm.screen import _address

LISTEN = "<listen type='address' address='{}'/>"


@pytest.mark.parametrize(
    ("xml", "uri", "everywhere"),
    [
        ("<graphics type='vnc' socket='/s'><listen type='socket' socket='/s'/></graphics>", "vnc+unix:///s", False),
        (f"<graphics type='vnc' port='5901'>{LISTEN.format('127.0.0.1')}</graphics>", "vnc://127.0.0.1:5901", False),
        (f"<graphics type='vnc' port='5900'>{LISTEN.format('0.0.0.0')}</graphics>", "vnc://localhost:5900", True),
        (
            f"<graphics type='spice' port='-1' tlsPort='5902'>{LISTEN.format('::1')}</graphics>",
            "spice://[::1]:5902",
            False,
        ),
        ("<graphics type='spice'><listen type='none'/></graphics>", "", False),
    ],
)
def test_where_a_viewer_reaches_it(xml: str, uri: str, everywhere: bool) -> None:  # noqa: FBT001  pytest passes it by name
    (graphics,) = Domain.parse(f"<domain><devices>{xml}</devices></domain>").graphics
    found = _address(graphics)
    assert (found.uri, found.open) == (uri, everywhere)
