"""What the host is set to, against what its machines need: pure rules, and reasons."""
