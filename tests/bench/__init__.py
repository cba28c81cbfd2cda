"""Side by side with qemu-img: ``tests/bench/run``."""
