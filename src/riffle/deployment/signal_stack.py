"""Room for signal handlers beside OpenVINO.

On processors with AMX, OpenVINO's plugin gives the thread that loads it a stack of 20 KB for signals. The state that
the kernel saves there takes 11 KB, and as much again when the handler calls a function for the first time: then the
process dies. Python handles Ctrl-C there, and torch the end of every process that reads data.
"""

import ctypes
import sys

ENOUGH = 256 * 1024
DISABLED = 2


class _Stack(ctypes.Structure):
    """What sigaltstack(2) takes."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


_room = ctypes.create_string_buffer(ENOUGH)
"""Lives as long as the process: a signal may come at any time."""


def size() -> int:
    """Bytes of this thread's stack for signals; 0 where they are handled on its own."""
    if sys.platform != "linux":
        return 0
    now = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(now))
    return 0 if now.flags & DISABLED else int(now.size)


def widen() -> None:
    """Put a large stack in the place of a small one."""
    if 0 < size() < ENOUGH:
        wide = _Stack(ctypes.addressof(_room), 0, ENOUGH)
        ctypes.CDLL(None).sigaltstack(ctypes.byref(wide), None)
