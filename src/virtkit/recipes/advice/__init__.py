"""What machines need of the host, and what of their own definitions: libvirt's machines and the host together."""
