# SPDX-License-Identifier: Apache-2.0
"""What a certificate costs, beside the bare signatures of `openssl speed`; the Workload API with 10,000 workloads: their first
certificates, at rest, a revocation and a new root that all are told of."""

import contextlib
import json
import os
import re
import resource
import select
import socket
import subprocess
import tempfile
import time

from agent import BUILD
from authority import Authority
from figures import spread, summary, table

UID = 70000  # and following, of no account: a user may have 1,024 connections
WORKLOADS_OF_USER = 500
SECONDS_MAX = 120
CALL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fuzz", "seeds", "workload_session", "svid")


class Workloads:
    """Connections that have called FetchX509SVID, by what a gRPC client sent for it."""

    def __init__(self, ca, count):
        with open(CALL, "rb") as file:
            call = file.read()
        self.epoll, self.sockets, self.octets = select.epoll(), {}, {}
        for i in range(count):
            os.seteuid(UID + i // WORKLOADS_OF_USER)  # whom the kernel names to cfidentity
            try:
                one = socket.socket(socket.AF_UNIX)
                one.connect(ca.workload_socket)
            finally:
                os.seteuid(0)
            one.sendall(call)
            one.setblocking(False)
            self.sockets[one.fileno()] = one
            self.epoll.register(one.fileno(), select.EPOLLIN)
            self.take(0)

    def take(self, seconds):
        for fd, _ in self.epoll.poll(seconds):
            octets = self.sockets[fd].recv(65536)
            assert octets, "cfidentity has hung up"
            self.octets[fd] = self.octets.get(fd, 0) + len(octets)

    def answered(self):
        """Until each got an answer since the last call; an answer has a certificate, its key and a root, so more than 1,000 octets."""
        end = time.monotonic() + SECONDS_MAX
        while sum(size > 1000 for size in self.octets.values()) < len(self.sockets):
            assert time.monotonic() < end, "an answer doesn't come"
            self.take(1)
        self.octets.clear()

    def rest(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.take(0.1)
        self.octets.clear()

    def close(self):
        for one in self.sockets.values():
            one.close()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


def measured(pid, what, act):
    cpu, began = cpu_seconds(pid), time.monotonic()
    done = act()
    return done, {"what": what, "seconds": time.monotonic() - began, "cpu_seconds": cpu_seconds(pid) - cpu, "rss_mib": resident_mib(pid)}


def openssl_speed():
    """Signatures and verifications a CPU second."""
    done = subprocess.run(["openssl", "speed", "-seconds", "1", "ecdsap256"], capture_output=True, text=True, timeout=30, check=True)
    return [float(one) for one in done.stdout.strip().splitlines()[-1].split()[-2:]]


def issuing(smoke):
    """Interleaved, so that a machine that does something else does it to both."""
    slices, seconds, kept = (1, 0.1, 500) if smoke else (7, 1, 20000)
    rows, spreads = {}, []
    for _ in range(slices):
        signatures, verifications = openssl_speed()
        with tempfile.TemporaryDirectory() as folder:
            said = json.loads(subprocess.run([os.path.join(BUILD, "tests", "bench", "identity_bench"), folder, str(seconds), str(kept)],
                                             capture_output=True, text=True, timeout=120, check=True).stdout)
        spreads = said.pop("renewals")
        # What no issuer can do without: one signature, and two checks, of the request's and of what it signed.
        least = 1 / signatures + 2 / verifications
        for name, value in {"signatures": signatures, "verifications": verifications, **said, "share_of_signatures": said["issued"] / signatures,
                            "share_of_least": said["issued"] * least}.items():
            rows.setdefault(name, []).append(value)
    rows = {name: summary(values) for name, values in rows.items()}
    shares = ("share_of_signatures", "share_of_least")
    table("A certificate: times a second of one core (P-256; a request read, signed, checked, in the ledger)", ["", "median [quartiles]"],
          [[{"signatures": "openssl speed, signatures", "verifications": "openssl speed, verifications", "keys": "keys made", "requests_read": "requests read",
             "signed_and_checked": "signed and checked", "issued": "issued, all of it", "octets_each": "octets of memory each",
             "share_of_signatures": "issued / signatures", "share_of_least": "issued / (a signature and two verifications)"}[name],
            spread(of, 3 if name in shares else 0)] for name, of in rows.items()])
    table("10,000 certificates of one moment: renewals in a second (drawn by identity/renewal.cpp)", ["lifetime", "mean", "most", "most / mean"],
          [[f"{one['lifetime_hours']} h", f"{one['mean']:.2f}", one["most"], f"{one['most'] / one['mean']:.2f}"] for one in spreads])
    return {"rates": rows, "renewals": spreads}


def run(smoke):
    issued = issuing(smoke)
    count, rest = (50, 1) if smoke else (10000, 20)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    users = range(count // WORKLOADS_OF_USER + 1)
    with contextlib.ExitStack() as stack:
        ca = stack.enter_context(Authority())
        ca.settings(workloads=[f"{{spiffe_id: 'spiffe://example.org/w{i}', uid: {UID + i}}}" for i in users])
        ca.stop()
        ca.start()
        pid = ca.process.pid

        def begin():
            workloads = stack.enter_context(contextlib.closing(Workloads(ca, count)))
            workloads.answered()
            return workloads

        def told(path, body):
            def act():
                code, answer = ca.post(path, body)
                assert code == 0, answer
                workloads.answered()
            return act

        workloads, first = measured(pid, f"{count:,} workloads get their first certificates", begin)
        workloads.rest(rest / 4)
        serial = ca.json("list")["certificates"][0]["serial"]
        _, idle = measured(pid, "at rest", lambda: workloads.rest(rest))
        _, revoked = measured(pid, "a certificate is revoked: all have the new list", told("/v1/revocations", {"serial": serial}))
        workloads.rest(1)
        _, rotated = measured(pid, "a root is prepared: all have it", told("/v1/rotation", {"step": "prepare"}))
    rows = [first, idle, revoked, rotated]
    table(f"The Workload API with {count:,} standing calls", ["", "s", "CPU s", "RSS MiB"],
          [[r["what"], f"{r['seconds']:.2f}", f"{r['cpu_seconds']:.2f}", f"{r['rss_mib']:.0f}"] for r in rows])
    each = first["cpu_seconds"] / count
    # Half of the lifetime, a twentieth of it either way (identity/renewal.cpp).
    for hours in (24, 1):
        print(f"Renewals of {hours} h certificates that began together: {count / (hours * 360):.2f} a second over {hours * 6} min, "
              f"{100 * each * count / (hours * 360):.3f} % of a core")
    return {"issuing": issued, "workloads": count, "rows": rows, "cpu_seconds_each": each}
