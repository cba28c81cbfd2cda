"""Floor 0: knows no disk, network, machine or host; stands on the standard library alone."""
