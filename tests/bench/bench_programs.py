# SPDX-License-Identifier: Apache-2.0
"""What a packet costs in each program, in ns, beside programs that do nothing.

On traffic: the kernel's run-time statistics (their two clock reads are in every figure, also in the empty program's).
By BPF_PROG_TEST_RUN: the same packet again and again, with no clock read a run and with warm caches; only where a
repeated packet means the same each time.
"""

import os
import socket
import struct

from empty_programs import EmptyPrograms
from figures import spread, summary, table
from place import Place, bpftool

RATE = 20000
OTHER_PORT = 5300  # not a DNS port


def run_counts(agent, empty):
    programs = {p["name"]: (p["run_count"], p["run_time_ns"]) for p in agent.get("/v1/bpf")["programs"]}
    return {**programs, **empty.runs()}


def traffic(place, agent, empty, port, seconds):
    """Program -> (runs, ns a run) under load."""
    before = run_counts(agent, empty)
    load = place.load(RATE, seconds, port=port)
    after = run_counts(agent, empty)
    out = {}
    for name, (count, spent) in after.items():
        runs = count - before[name][0]
        if runs >= load["answered"] / 2:
            out[name] = (runs / load["answered"], (spent - before[name][1]) / runs)
    assert {"dns_egress", "dns_ingress", "empty_egress", "empty_ingress"} <= set(out), f"programs did not run: {out}"
    return out


def udp_packet(dest, payload):
    """Ethernet, IPv4 and UDP, as BPF_PROG_TEST_RUN takes it."""
    udp = struct.pack("!HHHH", 40000, dest, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.53"))
    return bytes(12) + struct.pack("!H", 0x0800) + ip + udp


def test_run(place, pin, packet, repeat):
    path = os.path.join(place.dir, "packet")
    with open(path, "wb") as file:
        file.write(packet)
    answer = bpftool("prog", "run", "pinned", pin, "data_in", path, "repeat", str(repeat))
    assert answer["retval"] == 1, f"{pin} did not let the packet pass: {answer}"
    return answer["duration"]


def test_runs(place, agent, empty, repeat, turns):
    query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\3www\5bench\4test\0" + struct.pack("!HH", 1, 1)
    pin = os.path.join(agent.place.pins, "dns_egress")
    cases = {"empty": (empty.pins["egress"], udp_packet(OTHER_PORT, query)), "not DNS": (pin, udp_packet(OTHER_PORT, query)),
             "query, sent again": (pin, udp_packet(53, query))}
    return {name: summary([test_run(place, *case, repeat) for _ in range(turns)]) for name, case in cases.items()}


def show(figures, tests):
    rows = []
    for (kind, name), figure in figures.items():
        base = figures.get((kind, name.replace("dns_", "empty_")))
        more = "" if base is None or base is figure else f"{figure['ns']['median'] - base['ns']['median']:.0f}"
        rows.append([kind, name, f"{figure['runs']['median']:.2f}", spread(figure["ns"], 0), more])
    table(f"ns a run on traffic at {RATE:,} lookups/s, kernel statistics", ["packets", "program", "runs a lookup", "ns: median [quartiles]", "more than empty"], rows)
    table("ns a run of the egress program by BPF_PROG_TEST_RUN", ["packet", "ns: median [quartiles]", "ratio to empty"],
          [[name, spread(ns, 0), f"{ns['median'] / tests['empty']['median']:.1f}"] for name, ns in tests.items()])


def run(smoke):
    seconds, turns, repeat = (0.3, 1, 1000) if smoke else (2, 7, 1000000)
    samples = {}
    with Place(smoke) as place, place.agent("--program-stats", "true") as agent, EmptyPrograms(place, agent.place.bpffs) as empty:
        for _ in range(turns):
            for kind, port in (("not DNS", OTHER_PORT), ("query, answer", 53)):
                for name, sample in place.undisturbed(agent, lambda p=port: traffic(place, agent, empty, p, seconds)).items():
                    samples.setdefault((kind, name), []).append(sample)
    with Place(smoke) as place, place.agent() as agent, EmptyPrograms(place, agent.place.bpffs) as empty:  # no statistics now
        tests = place.undisturbed(agent, lambda: test_runs(place, agent, empty, repeat, turns))
    figures = {key: {"runs": summary([runs for runs, _ in values]), "ns": summary([ns for _, ns in values])} for key, values in sorted(samples.items())}
    show(figures, tests)
    return {"traffic": {f"{kind}: {name}": figure for (kind, name), figure in figures.items()}, "test_run": tests}
