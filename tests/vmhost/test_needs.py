"""What a machine's definition lacks for its work is written into a real libvirt, and comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from virtkit import vm
from virtkit.core import engine
from virtkit.core.system import System
from virtkit.host.advice.case import Profile
from virtkit.recipes.advice.diagnosis import Question, diagnose, redefine
from virtkit.vm.blueprint import machine_xml
from virtkit.vm.domain import Domain
from vmhost import hosts

if TYPE_CHECKING:
    from vmhost.hosts import Host

pytestmark = pytest.mark.netns


def test_a_database_behind_writethrough_is_redefined_once_and_put_back(speaking: Host, name: str) -> None:
    disk = speaking.disk(f"{name}.qcow2")
    speaking.define(machine_xml(hosts.idle(name, replace(disk, cache="writethrough", io="threads"))))
    before = Domain.parse(vm.definition(name))
    question = Question(machines={name: Profile.DATABASE})
    number = speaking.carry_out(redefine(diagnose(question, System())))
    (now,) = Domain.parse(vm.definition(name)).disks
    assert (now.cache, now.io) == ("none", "native")
    assert Domain.parse(vm.definition(name)).iothreads == 1
    assert not redefine(diagnose(question, System()))
    engine.undo(speaking.journal, number, System())
    assert Domain.parse(vm.definition(name)).digest == before.digest
