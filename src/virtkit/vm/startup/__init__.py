"""Machines that start with the host: libvirt's own flag, or an order of ours, which libvirt does not have.

The order stands in the machine's own metadata. A unit of systemd starts those machines after libvirt, by their order;
libvirt's flag is off for them, so that nothing starts twice. Shutting down is libvirt-guests' business.
"""
