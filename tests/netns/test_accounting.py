# SPDX-License-Identifier: Apache-2.0
"""Emitted = delivered + lost by cause, also when the agent can't keep up; each cause is made to happen."""

import signal
import socket
import time
from types import SimpleNamespace

import dnsmsg
from agent import Agent, total, wait_until
from harness import test
from netns import Namespace
from resolver import Unbound, dnsperf

PENDING_MAX = 32768  # CF_DNS_PENDING_MAX, bpf/abi/dns.h
TIMEOUT = 4
# Servers of one test each, to tell its series in the metrics by.
FULL_RING, FULL_TABLE, SLOW = "127.53.6.1", "127.53.6.2", "127.53.6.3"


def setup(stack):
    agent = stack.enter_context(Agent("--dns-timeout", f"{TIMEOUT}s"))
    ns = stack.enter_context(Namespace("acc"))
    stack.enter_context(Unbound(ns, FULL_RING, SLOW))
    return SimpleNamespace(agent=agent, ns=ns)


def outcomes(agent):
    return {labels["outcome"]: value for name, labels, value in agent.metrics() if name == "cortexflow_dns_outcomes_total"}


@test("a ring that is full loses records, and each one is counted: the agent stands still under 60,000 lookups", seconds=40)
def ring_full(env):
    env.agent.balance()
    before = env.agent.status()
    env.agent.signal(signal.SIGSTOP)
    try:
        figures = dnsperf(env.ns, [("a.test", "A"), ("a.test", "AAAA")], "-n", "30000", "-l", "8", "-c", "2", "-T", "1",
                          address=FULL_RING)
    finally:
        env.agent.signal(signal.SIGCONT)
    status = env.agent.balance()
    emitted = status["emitted"] - before["emitted"]
    delivered = status["delivered"] - before["delivered"]
    lost = {cause: n - before["lost"].get(cause, 0) for cause, n in status["lost"].items() if n != before["lost"].get(cause, 0)}
    assert emitted >= figures["Queries completed"] > 30000, (emitted, figures)
    assert delivered + sum(lost.values()) == emitted, (emitted, delivered, lost)
    samples = env.agent.metrics()
    mine = total(samples, "cortexflow_dns_responses_total", server=FULL_RING)
    assert 10000 < mine <= delivered, "what fitted in the ring has come through"
    others = delivered - mine
    missing = figures["Queries completed"] - mine
    assert missing <= sum(lost.values()) <= missing + others, (missing, lost, others)
    assert len(lost) == 1 and "ring" in next(iter(lost)), lost
    assert total(samples, "cortexflow_events_lost_total") == sum(status["lost"].values())


@test("after that the next lookup is whole again")
def recovers(env):
    name = dnsmsg.unique("recover")
    with env.agent.watch() as watch:
        with env.ns.socket() as sock:
            sock.sendto(dnsmsg.query(name), (FULL_RING, 53))
            sock.recv(512)
        assert watch.one(name)["outcome"] == "answered"


@test("queries beyond the pending table are untracked, the others time out, and none is missing", seconds=40)
def pending_full(env):
    env.agent.balance()
    count = PENDING_MAX + 6000
    before, seen = env.agent.status(), outcomes(env.agent)
    with Namespace("full") as ns, ns.socket() as sink:
        sink.bind((FULL_TABLE, 53))  # takes what it has room for, answers nothing
        socks = [ns.socket() for _ in range(2)]
        for sock in socks:
            sock.setblocking(True)
            sock.connect((FULL_TABLE, 53))
        began = time.monotonic()
        tail = dnsmsg.query("flood.test")[2:]
        for i in range(count):
            socks[i >> 16].send((i & 0xFFFF).to_bytes(2, "big") + tail)
        took = time.monotonic() - began
        assert took < TIMEOUT, f"the flood took {took:.1f} s: its first queries have timed out"
        for sock in socks:
            sock.close()

    def asked():
        return total(env.agent.metrics(), "cortexflow_dns_requests_total", server=FULL_TABLE)  # counted when they end

    wait_until(lambda: asked() >= count, TIMEOUT + 10, f"{count} queries ended")
    status = env.agent.balance()
    assert asked() == count
    assert status["queries"] - before["queries"] >= count
    assert status["lost"] == before["lost"], status["lost"]
    timeouts = total(env.agent.metrics(), "cortexflow_dns_timeouts_total", server=FULL_TABLE)
    untracked = outcomes(env.agent)["untracked"] - seen["untracked"]
    assert count - PENDING_MAX <= count - timeouts <= untracked < count - timeouts + 100, (count, timeouts, untracked)
    pending = [m for m in status["maps"] if "pending" in m["name"]]
    assert pending and pending[0]["entries"] < 100, pending


@test("a watcher that does not read holds up nobody", seconds=40)
def slow_watcher(env):
    env.agent.balance()
    before = env.agent.status()
    with socket.socket(socket.AF_UNIX) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(env.agent.place.socket)
        slow.sendall(b"GET /v1/dns/lookups?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        slow.recv(16)  # it is being served
        figures = dnsperf(env.ns, [("a.test", "A")], "-n", "30000", "-l", "5", "-Q", "8000", "-c", "1", "-T", "1", address=SLOW)
        status = env.agent.balance()
        delivered = total(env.agent.metrics(), "cortexflow_dns_responses_total", server=SLOW)
        assert delivered == figures["Queries completed"] > 10000, (delivered, figures)
        assert status["lost"] == before["lost"], (status["lost"], before["lost"])
