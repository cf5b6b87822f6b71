# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of one test run: made, joined, and gone again whatever happens."""

import atexit
import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import tempfile

from isolation import CLONE_NEWNET, PATIENCE, PREFIX, libc

_numbers = itertools.count(1)


def _setns(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def sh(*argv, stderr_too=False, **options):
    """Runs a command that must succeed, and answers its output; that is in the exception where it doesn't."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout + (done.stderr if stderr_too else "")


def bound_to_us(argv):
    """The command, killed by the kernel when the test run dies; the pid is the command's own."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]


class Namespace:
    """A network namespace with loopback up.  `inode` is what the agent calls netns."""

    def __init__(self, label):
        self.name = f"{PREFIX}{label}{next(_numbers)}"
        sh("ip", "netns", "add", self.name)
        self.path = f"/run/netns/{self.name}"
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.stat(self.path).st_ino
        self.ip("link", "set", "lo", "up")

    def ip(self, *args):
        return sh("ip", "-n", self.name, *args)

    @contextlib.contextmanager
    def entered(self):
        """This thread is in the namespace; sockets that it opens stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._fd)
            yield
        finally:
            _setns(home)
            os.close(home)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, proto=0):
        with self.entered():
            made = socket.socket(family, kind, proto)
        made.settimeout(5 * PATIENCE)
        return made

    def argv(self, *argv):
        return bound_to_us(["nsenter", f"--net={self.path}", *argv])

    def popen(self, *argv, **options):
        return subprocess.Popen(self.argv(*argv), **options)

    def run(self, *argv, timeout=20, **options):
        """Runs a command in the namespace; it must succeed.  Answers its standard output."""
        return sh(*self.argv(*argv), timeout=timeout * PATIENCE, **options)

    def close(self):
        os.close(self._fd)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def veth(left, right, left_addresses, right_addresses, mtu=1500, name="veth0"):
    """Joins two namespaces: `name` in the left one, veth0 in the right; addresses as "10.0.0.1/24" and "fd00::1/64"."""
    sh("ip", "link", "add", name, "netns", left.name, "type", "veth", "peer", "name", "veth0", "netns", right.name)
    for ns, device, addresses in ((left, name, left_addresses), (right, "veth0", right_addresses)):
        for address in addresses:
            ns.ip("address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
        ns.ip("link", "set", device, "mtu", str(mtu), "up")


def _sweep():
    """Removes the namespaces and folders of this run, and of runs that were killed."""
    for root in ("/run/netns", tempfile.gettempdir()):
        for name in os.listdir(root) if os.path.isdir(root) else []:
            owner = name.split("-")[1] if name.startswith("cft-") else ""
            if not owner.isdigit() or (int(owner) != os.getpid() and os.path.exists(f"/proc/{owner}")):
                continue
            if root == "/run/netns":
                subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
            else:
                subprocess.run(["umount", f"{root}/{name}/bpffs"], capture_output=True, check=False)
                subprocess.run(["rm", "-rf", "--one-file-system", f"{root}/{name}"], check=False)


_sweep()
atexit.register(_sweep)
