"""``python -I spend.py FD COMMAND...``: run it, and write what it took to FD: wall and processor seconds, peak bytes.

A process of its own: the kernel counts what its parent had in memory into the peak of a program that was started.
"""

from __future__ import annotations

import os
import shutil
import sys
import time


def main(answer: int, command: list[str]) -> int:
    os.set_inheritable(answer, False)  # noqa: FBT003  it takes no keyword
    program = shutil.which(command[0]) or command[0]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    child = os.posix_spawn(program, command, environment)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - began
    os.write(answer, f"{wall} {used.ru_utime + used.ru_stime} {used.ru_maxrss << 10}\n".encode())
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
