# SPDX-License-Identifier: Apache-2.0
"""The agent against two witnesses of the same run: the resolver's own statistics and log, and a capture by tshark."""

import contextlib
import itertools
import re
import socket
import statistics
import subprocess
import time
from collections import Counter, defaultdict
from types import SimpleNamespace

import dnsmsg
from agent import Agent, total, wait_until
from dnsserver import Server
from harness import test
from netns import Namespace
from resolver import Unbound, dnsperf

ADDRESS = "127.53.5.1"  # a server of no other program, to tell its series in the metrics by

# As a file for dnsperf: answers, no data, no such name, refused, failed; several types; mixed case.
QUERIES = [("a.test", "A"), ("a.test", "AAAA"), ("a.test", "TXT"), ("A.tEsT", "MX"), ("a.test", "SRV"), ("a.test", "HTTPS"),
           ("x.refused.test", "A"), ("x.servfail.test", "A"), ("y.servfail.test", "TXT"),
           *((f"nx{i}.test", ("A", "AAAA", "PTR")[i % 3]) for i in range(20)), *((("a.test", "A"),) * 12)]


_probes = itertools.count(1)


def captured(ns, path, tshark):
    """Has a connection attempt, which is no DNS message, reached the file?  Then so has all before it."""
    assert tshark.poll() is None, "tshark ended"
    address = f"127.53.77.{next(_probes)}"
    with ns.socket(kind=socket.SOCK_STREAM) as sock, contextlib.suppress(ConnectionRefusedError):
        sock.connect((address, 53))
    for _ in range(10):  # dumpcap writes out every tenth of a second
        time.sleep(0.02)
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            if socket.inet_aton(address) in file.read():
                return True
    return False


def setup(stack):
    agent = stack.enter_context(Agent())
    ns = stack.enter_context(Namespace("truth"))
    upstream = stack.enter_context(Server(ns, port=5398))  # no DNS port to the agent
    upstream.default = lambda query: [query.answer(dnsmsg.SERVFAIL)]
    unbound = stack.enter_context(Unbound(ns, ADDRESS))
    watch = stack.enter_context(agent.watch())
    before = agent.metrics()

    capture = agent.place.path("lo.pcapng")
    tshark = ns.popen("tshark", "-q", "-i", "lo", "-f", "port 53", "-B", "64", "-w", capture, stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: captured(ns, capture, tshark), 20, "tshark captures")
        perf = [dnsperf(ns, QUERIES, "-l", "4", "-Q", "2000", "-c", "4", "-T", "1", address=ADDRESS),
                dnsperf(ns, QUERIES, "-m", "tcp", "-e", "-l", "1", "-Q", "500", "-c", "4", "-T", "1", address=ADDRESS)]
        for flags in (("+tcp",), ("+noedns",), ("+dnssec",), ("+norecurse",)):
            ns.run("dig", "+tries=1", "+time=2", *flags, f"@{ADDRESS}", "a.test", "A")
        wait_until(lambda: captured(ns, capture, tshark), 20, "tshark has captured all of it")
    finally:
        tshark.terminate()
        tshark.wait()
    truth = unbound.statistics()
    status = agent.balance()
    wait_until(lambda: len([l for l in watch.lookups if l["netns"] == ns.inode]) >= truth["total.num.queries"], 10,
               "the watch has as many lookups as the resolver had queries")
    watch.settle()
    lookups = [lookup for lookup in watch.lookups if lookup["netns"] == ns.inode]
    return SimpleNamespace(agent=agent, ns=ns, unbound=unbound, truth=truth, status=status, lookups=lookups, perf=perf,
                           capture=capture, before=before, after=agent.metrics())


def percentile_99(values):
    return sorted(values)[int(len(values) * 0.99)]


def same(have, want, what):
    difference = {key: f"agent {have.get(key, 0)}, truth {want.get(key, 0)}" for key in {*have, *want}
                  if have.get(key, 0) != want.get(key, 0)}
    assert not difference, f"{what}: {difference}"
    assert sum(want.values()) > 0, f"{what}: nothing was counted"


def counted(truth, prefix):
    return {key.removeprefix(prefix): int(value) for key, value in truth.items() if key.startswith(prefix) and value}


@test("the run is large enough to mean something, and dnsperf lost nothing")
def large_enough(env):
    assert env.truth["total.num.queries"] > 5000, env.truth["total.num.queries"]
    for figures in env.perf:
        assert figures["Queries sent"] == figures["Queries completed"], figures


@test("the number of lookups is the resolver's number of queries, and all of them ended as answered")
def count(env):
    assert len(env.lookups) == env.truth["total.num.queries"], (len(env.lookups), env.truth["total.num.queries"])
    same(Counter(l["outcome"] for l in env.lookups), {"answered": len(env.lookups)}, "outcome")
    same(Counter(l["transmissions"] for l in env.lookups), {1: len(env.lookups)}, "transmissions")


@test("the counts by type are the resolver's own, exactly")
def by_type(env):
    same(Counter(l["qtype"] for l in env.lookups), counted(env.truth, "num.query.type."), "type")


@test("the counts by rcode are the resolver's own, exactly")
def by_rcode(env):
    truth = counted(env.truth, "num.answer.rcode.")
    truth.pop("nodata", 0)  # a part of NOERROR
    assert {"NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"} <= set(truth), truth
    same(Counter(l["rcode"] for l in env.lookups), truth, "rcode")


@test("the counts over TCP, with EDNS and without data are the resolver's own, exactly")
def by_transport(env):
    have = {"tcp": sum(l["transport"] == "tcp" for l in env.lookups),
            "edns": sum(l["edns_size"] > 0 for l in env.lookups),
            "nodata": sum(l["rcode"] == "NOERROR" and l["answers"] == 0 for l in env.lookups)}
    same(have, {"tcp": int(env.truth["num.query.tcp"]), "edns": int(env.truth["num.query.edns.present"]),
                "nodata": int(env.truth["num.answer.rcode.nodata"])}, "messages")


@test("the names are those of the resolver's query log, letter by letter")
def by_name(env):
    logged = re.findall(r"info: 127\.[0-9.]+ (\S+)\. (\S+) IN$", env.unbound.log(), re.MULTILINE)
    same(Counter((l["name"], l["qtype"]) for l in env.lookups), Counter(logged), "name")


@test("the metrics rose by the same counts, by type and by rcode")
def in_metrics(env):
    def rise(name, **labels):
        return total(env.after, name, **labels) - total(env.before, name, **labels)

    for rcode, number in Counter(l["rcode"] for l in env.lookups).items():
        assert rise("cortexflow_dns_responses_total", server=ADDRESS, rcode=rcode) == number, rcode
    for (qtype, transport), number in Counter((l["qtype"], l["transport"]) for l in env.lookups).items():
        rose = rise("cortexflow_dns_requests_total", server=ADDRESS, qtype=qtype, transport=transport)
        assert rose == number, (qtype, transport, rose, number)


@test("the accounting is closed, and nothing was lost")
def accounting(env):
    assert env.status["emitted"] == env.status["delivered"] + sum(env.status["lost"].values())
    assert sum(env.status["lost"].values()) == 0, env.status["lost"]
    assert env.status["queries"] >= len(env.lookups) and env.status["answers"] >= len(env.lookups)


@test("the latencies are those of the capture, and what is between the two is small against them")
def latencies(env):
    fields = ("frame.time_epoch", "udp.srcport", "udp.dstport", "dns.id", "dns.flags.response")
    out = subprocess.run(["tshark", "-r", env.capture, "-Y", "dns && udp", "-T", "fields", "-E", "separator=,",
                          *(arg for field in fields for arg in ("-e", field))], capture_output=True, text=True, check=True).stdout
    asked, in_capture = {}, defaultdict(list)
    for line in out.splitlines():
        when, source, dest, ident, response = line.split(",")
        seconds, fraction = when.split(".")
        time_ns = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
        if response in ("1", "True"):
            key = (int(dest), int(ident, 16))
            if key in asked:
                in_capture[key].append(time_ns - asked.pop(key))
        else:
            asked[(int(source), int(ident, 16))] = time_ns
    differences, udp = [], [l for l in env.lookups if l["transport"] == "udp"]
    for lookup in udp:
        key = (lookup["client_port"], lookup["id"])
        if in_capture[key]:
            differences.append(lookup["latency_ns"] - in_capture[key].pop(0))
    assert len(differences) >= 0.99 * len(udp), f"{len(differences)} of {len(udp)} lookups are in the capture"
    # The agent's hooks are nearer to the client than the capture: it measures a little more, never less.
    assert min(differences) >= 0, f"{-min(differences)} ns less than in the capture"
    whole = [lookup["latency_ns"] for lookup in udp]
    assert statistics.median(differences) < statistics.median(whole) / 4, (statistics.median(differences), statistics.median(whole))
    assert percentile_99(differences) < percentile_99(whole) / 2, (percentile_99(differences), percentile_99(whole))
