"""virtkit: disks, networks, machines and tuning for people who run KVM hosts."""

__version__ = "0.1.0"
