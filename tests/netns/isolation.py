# SPDX-License-Identifier: Apache-2.0
"""A part of the machine for one test run alone: a cgroup that its agents observe, and a network namespace for its ports.

All that the run starts is born into both.  Runs at the same time, and the rest of the machine, don't see one another.
"""

import atexit
import contextlib
import ctypes
import os
import subprocess
import time

PREFIX = f"cft-{os.getpid()}-"
CLONE_NEWNET = 0x40000000
# What every bound on waiting is multiplied by: an emulated machine is slow, and sets it.  Nothing is measured by it.
PATIENCE = float(os.environ.get("CORTEXFLOW_PATIENCE", "1"))

libc = ctypes.CDLL(None, use_errno=True)


def cgroup_mount():
    """Where the whole cgroup v2 hierarchy is mounted, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[fields.index("-") + 1] == "cgroup2" and fields[3] == "/":
                return fields[4]
    return None


def own_cgroup():
    """This process's path in the hierarchy."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))


MOUNT = cgroup_mount()
CGROUP = f"{MOUNT}/{PREFIX}run"


def join_cgroup(directory):
    with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as procs:
        procs.write(str(os.getpid()))


def remove_cgroup(directory):
    """Ends what is still in it, and removes it with everything below."""
    with contextlib.suppress(OSError):
        with open(f"{directory}/cgroup.kill", "w", encoding="ascii") as kill:  # Linux 5.14
            kill.write("1")
    for _ in range(100):  # the kernel lets go of ended processes a moment later
        with contextlib.suppress(OSError):
            for folder, _, _ in os.walk(directory, topdown=False):
                os.rmdir(folder)
        if not os.path.exists(directory):
            return
        time.sleep(0.02)


def enter():
    """Moves this process; to be called before it has threads or sockets.  The way out is taken at exit."""
    home = MOUNT + own_cgroup()
    os.mkdir(CGROUP)
    atexit.register(leave, home)
    join_cgroup(CGROUP)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def leave(home):
    join_cgroup(home if os.path.isdir(home) else MOUNT)
    for name in os.listdir(MOUNT):
        if name.startswith(PREFIX):
            remove_cgroup(f"{MOUNT}/{name}")


def inside(directory, *argv):
    """The command, in that cgroup."""
    return ["sh", "-ec", 'echo 0 >"$0/cgroup.procs"; exec "$@"', directory, *map(str, argv)]


@contextlib.contextmanager
def cgroup(directory):
    """Made with what is missing above it; gone at the end, with the processes in it."""
    os.makedirs(directory)
    try:
        yield directory
    finally:
        remove_cgroup(directory)


def sweep():
    """Removes the cgroups of runs that were killed."""
    for name in os.listdir(MOUNT):
        owner = name.split("-")[1] if name.startswith("cft-") else ""
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            remove_cgroup(f"{MOUNT}/{name}")
