"""What running machines use: counters as libvirt and the kernel keep them, and what they say over time."""
