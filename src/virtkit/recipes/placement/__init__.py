"""Machines and the host's CPUs, caches and memory brought together: who runs where, and who should."""
