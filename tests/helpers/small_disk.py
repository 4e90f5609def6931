"""A small private disk for one process, which Linux removes with the process."""

import ctypes
import errno
import os
from pathlib import Path

# Constants of Linux's <sched.h> and <sys/mount.h>.
NEW_MOUNTS, NEW_USERS = 0x20000, 0x10000000
PRIVATE, READ_ONLY, REMOUNT = 1 << 18 | 1 << 14, 1, 32


def mount(folder, size):
    """Mount an empty disk of some bytes at a folder, visible only to this process and its children.

    The process must have one thread. Return False if the system does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        return False
    user = os.getuid()
    if libc.unshare(NEW_MOUNTS):
        if libc.unshare(NEW_MOUNTS | NEW_USERS):
            return False
        try:
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        except OSError:
            return False
    if libc.mount(b"none", b"/", None, PRIVATE, None):
        return False
    return not libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"size=%d" % size)


def make_read_only(folder):
    """Make a disk that `mount` has mounted at a folder read-only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", READ_ONLY | REMOUNT, None):
        raise OSError(ctypes.get_errno(), "remount", str(folder))


def fill(folder, room):
    """Fill a disk with one file until only some bytes are left; return the file."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(max(file.tell() - room, 0))
    return filler
