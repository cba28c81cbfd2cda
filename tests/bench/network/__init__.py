"""Packets lost on the way to a bridge, by method: ``tests/bench/network/run``."""
