# SPDX-License-Identifier: Apache-2.0
"""Other ways to look at a node's DNS, from Debian: a packet capture alone (dumpcap), and one that is decoded (tshark)."""

import contextlib
import os
import re
import signal
import time

from agent import wait_until
from place import cpu_seconds, resident_kib

SETTLE_SECONDS, SETTLE_MAX_SECONDS = 0.3, 40
COMMANDS = {
    "dumpcap": ["dumpcap", "-q", "-i", "lo", "-f", "udp port 53", "-w", "{out}"],
    "tshark": ["tshark", "-q", "-P", "-l", "-n", "-i", "lo", "-f", "udp port 53", "-T", "fields", "-e", "dns.qry.name", "-e", "dns.flags.rcode", "-e", "dns.time"],
}


class Observer:
    """A capture of the place's loopback while it lives."""

    def __init__(self, place, kind):
        self._kind, self._sent = kind, 0
        self._out, self._log = (os.path.join(place.dir, f"{kind}.{suffix}") for suffix in ("out", "log"))
        argv = [part.format(out=self._out) for part in COMMANDS[kind]]
        with open(self._log, "w", encoding="utf-8") as log, open(self._out, "w", encoding="utf-8") as out:
            self._process = place.ns.popen(*argv, stdout=out, stderr=log)
        try:
            wait_until(self._started, 20, f"{kind} captures")
            wait_until(lambda: self._sees(place), 20, f"{kind} sees packets")
        except BaseException:
            self.close()
            raise
        self.settle()

    def _started(self):
        assert self._process.poll() is None, self._text()
        return "Capturing on" in self._text()

    def _text(self):
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _sees(self, place):
        self.sent(place.load(1000, 0.1))
        return os.path.getsize(self._out) > 4096

    def sent(self, load):
        """A load has run while it captured: a query and an answer a lookup.  What it misses of them is lost."""
        self._sent += load["sent"] + load["answered"]

    def lost(self):
        return self._sent - self.finish()

    def settle(self):
        """Until what was captured is written out: the file no longer grows and no CPU is used."""
        end = time.monotonic() + SETTLE_MAX_SECONDS
        last = None
        while time.monotonic() < end:
            now = (os.path.getsize(self._out), round(self.cpu_seconds(), 2))
            if now == last:
                return
            last = now
            time.sleep(SETTLE_SECONDS)

    def _pids(self):
        with open(f"/proc/{self._process.pid}/task/{self._process.pid}/children", encoding="ascii") as file:
            return [self._process.pid, *map(int, file.read().split())]

    def cpu_seconds(self):
        return sum(cpu_seconds(pid) for pid in self._pids())

    def resident_kib(self):
        return sum(resident_kib(pid)["VmRSS"] for pid in self._pids())

    def finish(self):
        """Ends it; answers how many packets it has seen: those that dumpcap counts, the lines that tshark wrote."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        if self._kind == "tshark":
            with open(self._out, "rb") as file:
                return sum(1 for _ in file)
        counted = re.search(r"received/dropped on interface .*: (\d+)/", self._text())
        if not counted:
            raise RuntimeError(f"{self._kind} did not say what it saw: {self._text()[-500:]}")
        return int(counted.group(1))

    def close(self):
        if self._process.poll() is None:
            for pid in self._pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
