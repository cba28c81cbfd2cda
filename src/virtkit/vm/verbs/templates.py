"""Machines become templates, and machines again."""

from __future__ import annotations

from virtkit.core.plan import Plan


def template(name: str, *, enabled: bool = True) -> Plan:
    """Every disk of a machine that is off becomes read-only, for whoever starts it; ``enabled`` False: no more.

    BusyError for one that runs or holds a saved memory image. What stands on its disks is not looked for here:
    ``recipes.making.template`` does.
    """
    from virtkit.vm import actions, connection, schedule, templating

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        title = f"{'make' if enabled else 'no longer'} machine {machine.name} a template"
        domain = machine.next_start()
        if templating.is_one(domain) == enabled:
            return Plan(title)
        actions.check_undefine(machine)  # runs, or holds its memory
        before = domain.digest
        (templating.make if enabled else templating.release)(domain)
        if enabled:
            schedule.forget(domain)
        define = actions.Define(machine.name, domain.text(), before)
        if enabled and machine.autostart:
            return Plan(title, (define, actions.Autostart(machine.name, enabled=False)))
        return Plan(title, (define,))
