from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.core.system import System
from virtkit.host.pci import PciDevice
from virtkit.recipes.passthrough import require_given

if TYPE_CHECKING:
    from pathlib import Path

CARD = PciDevice("0000:3b:00.0", 0x020000, 0x8086, 0x1521, "igb", 0, 7, None, None)


def test_an_ordinary_user_is_given_a_device_by_root(tmp_path: Path) -> None:
    system = System(tmp_path)
    with pytest.raises(NotSupportedError, match="driver is igb, expected vfio-pci") as refused:
        require_given(CARD, system)
    assert refused.value.hint == "sudo virtkit host pci bind 0000:3b:00.0"
    bound = CARD._replace(driver="vfio-pci")
    with pytest.raises(NotSupportedError, match="/dev/vfio/7 is not yours") as refused:
        require_given(bound, system)
    assert "sudo chown" in refused.value.hint
    (tmp_path / "dev/vfio").mkdir(parents=True)
    (tmp_path / "dev/vfio/7").touch()
    require_given(bound, system)
