# SPDX-License-Identifier: Apache-2.0
"""How a lookup ends.  The agent runs with a timeout of one second (more where machines are emulated) and a second port."""

import multiprocessing
import os
import socket
import subprocess
import time
from types import SimpleNamespace

import dnsmsg
from agent import Agent, brief, expect, total, wait_until
from dnsserver import Server
from harness import test
from isolation import PATIENCE
from netns import Namespace, veth

TIMEOUT = 1.0 * PATIENCE
NS_PER_S = 1_000_000_000


def setup(stack):
    agent = stack.enter_context(Agent("--dns-timeout", f"{TIMEOUT * 1000:.0f}ms", "--dns-port", "53", "--dns-port", "5353"))
    ns = stack.enter_context(Namespace("out"))
    server = stack.enter_context(Server(ns))
    watch = stack.enter_context(agent.watch())
    return SimpleNamespace(agent=agent, ns=ns, server=server, watch=watch)


def silent(_):
    return []


def client(env, address="127.0.0.1", port=53):
    sock = env.ns.socket()
    sock.connect((address, port))
    return sock


@test("a query sent again on its socket is one lookup with two transmissions, timed from the first")
def retransmitted(env):
    drop = iter([True, False])
    name = env.server.on(dnsmsg.unique("retry"), lambda q: [] if next(drop) else [q.answer()])
    with client(env) as sock:
        message = dnsmsg.query(name)
        began = time.monotonic()
        sock.send(message)
        first_sent = time.monotonic()
        time.sleep(0.05)  # between the two, to tell from which of them the lookup is timed
        second = time.monotonic()
        sock.send(message)
        sock.recv(512)
        ended = time.monotonic()
    lookup = env.watch.one(name)
    expect(lookup, outcome="answered", transmissions=2)
    assert second - first_sent <= lookup["latency_ns"] / NS_PER_S <= ended - began, lookup["latency_ns"]


@test("dig's retries of an unanswered query are timeouts, one a socket, and dig's three tries are counted")
def dig_retries(env):
    name = env.server.on(dnsmsg.unique("digretry"), silent)
    env.ns.popen("dig", "+tries=3", "+time=1", "@127.0.0.1", name, stdout=subprocess.DEVNULL).wait(10)
    sent = sum(1 for q in env.server.received if getattr(q, "name", "") == name)

    def of_name():
        return [l for l in env.watch.lookups if l["name"] == name]

    wait_until(lambda: sum(l["transmissions"] for l in of_name()) >= 3, 5, "three transmissions")
    env.watch.settle()
    lookups = of_name()
    assert sum(l["transmissions"] for l in lookups) == sent == 3, list(map(brief, lookups))
    assert {l["outcome"] for l in lookups} == {"timeout"}, list(map(brief, lookups))


@test("a query that nobody answers is a timeout, with everything that the query says")
def timeout(env):
    name = env.server.on(dnsmsg.unique("silent"), silent)
    with client(env) as sock:
        began = time.monotonic()
        sock.send(dnsmsg.query(name, dnsmsg.AAAA, ident=321, edns=1400))
        port = sock.getsockname()[1]
        lookup = env.watch.one(name)
        took = time.monotonic() - began
    expect(lookup, outcome="timeout", transmissions=1, has_answer=False, qtype="AAAA", id=321, client_port=port, edns_size=1400,
           pid=os.getpid(), netns=env.ns.inode, answers=0, answer_size=0)
    assert TIMEOUT <= lookup["latency_ns"] / NS_PER_S <= took, (lookup["latency_ns"], took)


@test("a timeout is reported also when the client has closed its socket, and when nobody listens")
def timeout_closed(env):
    name = env.server.on(dnsmsg.unique("closed"), silent)
    nobody = dnsmsg.unique("nobody")
    with client(env) as sock:
        sock.send(dnsmsg.query(name))
    with env.ns.socket() as sock:
        sock.sendto(dnsmsg.query(nobody), ("127.0.0.77", 53))
    expect(env.watch.one(name), outcome="timeout")
    expect(env.watch.one(nobody), outcome="timeout", server="127.0.0.77")


@test("an answer after the timeout is a late answer: two records, and the lookup is not counted twice")
def late(env):
    def answer_when_given_up(q):
        env.watch.wait_for(lambda l: l["name"] == name and l["outcome"] == "timeout")
        return [q.answer(dnsmsg.NXDOMAIN)]

    name = env.server.on(dnsmsg.unique("late"), answer_when_given_up)
    before = env.agent.metrics()
    with client(env) as sock:
        sock.send(dnsmsg.query(name))
        sock.recv(512)
    first, second = env.watch.named(name, 2)
    expect(first, outcome="timeout", has_answer=False)
    expect(second, outcome="late", has_answer=True, rcode="NXDOMAIN")
    after = env.agent.metrics()
    for metric, rise in (("requests", 1), ("responses", 1), ("timeouts", 1)):
        name = f"cortexflow_dns_{metric}_total"
        assert total(after, name, server="127.0.0.1") - total(before, name, server="127.0.0.1") == rise, metric


@test("an answer just before the timeout is an answer")
def just_in_time(env):
    name = env.server.on(dnsmsg.unique("intime"), lambda q: [(TIMEOUT * 0.8, q.answer())])
    with client(env) as sock:
        sock.send(dnsmsg.query(name))
        sock.recv(512)
        later = env.server.on(dnsmsg.unique("later"), silent)
        sock.send(dnsmsg.query(later))
    expect(env.watch.one(later), outcome="timeout")  # by now the sweep would have taken the first one too
    lookup = env.watch.one(name)
    expect(lookup, outcome="answered")
    assert lookup["latency_ns"] / NS_PER_S >= TIMEOUT * 0.8


@test("a second answer is a duplicate, with its own rcode")
def duplicate(env):
    name = env.server.on(dnsmsg.unique("twice"), lambda q: [q.answer(), (0.05, q.answer(dnsmsg.SERVFAIL))])
    with client(env) as sock:
        sock.send(dnsmsg.query(name))
        sock.recv(512)
        sock.recv(512)
    first, second = env.watch.named(name, 2)
    expect(first, outcome="answered", rcode="NOERROR", transmissions=1)
    expect(second, outcome="duplicate", rcode="SERVFAIL", id=first["id"])


@test("two answers that come at the same moment on two processors end their lookup once", seconds=40)
def two_at_once(env):
    count, address, name = 1000, ("127.53.1.9", 53), dnsmsg.unique("atonce")
    with env.ns.socket() as server, env.ns.socket() as asker:
        server.bind(address)
        asker.bind(("127.0.0.1", 0))
        answers = []
        for ident in range(count):
            asker.sendto(dnsmsg.query(name, ident=ident), address)
            answers.append(dnsmsg.Query(server.recv(512), "udp").answer())
        turns = [multiprocessing.Value("i", 0, lock=False) for _ in range(2)]

        def answer_all(mine, other):
            for turn, answer in enumerate(answers, 1):
                mine.value = turn
                while other.value < turn:
                    os.sched_yield()
                server.sendto(answer, asker.getsockname())

        processes = [multiprocessing.Process(target=answer_all, args=pair, daemon=True) for pair in (turns, turns[::-1])]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        answered = env.watch.wait_for(lambda l: l["name"] == name and l["rcode"], 2 * count, timeout=10)
    ended = [l["id"] for l in env.watch.lookups if l["name"] == name and l["outcome"] in ("answered", "timeout")]
    assert sorted(ended) == list(range(count)), f"{len(ended)} ends of {count} lookups"
    assert len(answered) == 2 * count, len(answered)


@test("an answer under another id is unmatched, and its query times out")
def other_id(env):
    name = env.server.on(dnsmsg.unique("otherid"), lambda q: [q.answer(ident=q.ident ^ 1)])
    with env.ns.socket() as sock:
        message = dnsmsg.query(name)
        sock.sendto(message, ("127.0.0.1", 53))
        sock.recv(512)
        stray, query = env.watch.named(name, 2)
    expect(stray, outcome="unmatched", id=dnsmsg.ident_of(message) ^ 1, transmissions=0, latency_ns=0, has_answer=True,
           netns=env.ns.inode)
    expect(query, outcome="timeout", id=dnsmsg.ident_of(message))


@test("an answer from another server than was asked is unmatched, and its query times out")
def other_server(env):
    name = env.server.on(dnsmsg.unique("otherserver"), silent)
    with env.ns.socket() as sock, env.ns.socket() as spoof:
        spoof.bind(("127.0.0.66", 53))
        message = dnsmsg.query(name)
        sock.sendto(message, ("127.0.0.1", 53))
        spoof.sendto(dnsmsg.Query(message, "udp").answer(), ("127.0.0.1", sock.getsockname()[1]))
        stray, query = env.watch.named(name, 2)
    expect(stray, outcome="unmatched", server="127.0.0.66")
    expect(query, outcome="timeout", server="127.0.0.1")


@test("another question under the same id on the same socket ends the first as superseded")
def superseded(env):
    first = env.server.on(dnsmsg.unique("first"), silent)
    second = dnsmsg.unique("second")
    with client(env) as sock:
        sock.send(dnsmsg.query(first, ident=5))
        sock.send(dnsmsg.query(second, ident=5))
        sock.recv(512)
    expect(env.watch.one(first), outcome="superseded", has_answer=False)
    expect(env.watch.one(second), outcome="answered", transmissions=1)


@test("the same id and question again after the answer is a new lookup")
def asked_again(env):
    name = dnsmsg.unique("again")
    with client(env) as sock:
        for _ in range(3):
            sock.send(dnsmsg.query(name, ident=77))
            sock.recv(512)
    for lookup in env.watch.named(name, 3):
        expect(lookup, outcome="answered", transmissions=1)


@test("another port counts as DNS by configuration, UDP and TCP, and a port that is not configured does not")
def other_port(env):
    with Server(env.ns, port=5353), Server(env.ns, port=5300):
        seen, unseen = dnsmsg.unique("port5353"), dnsmsg.unique("port5300")
        for name, port in ((unseen, 5300), (seen, 5353)):
            env.ns.run("dig", "+tries=1", "+time=2", "-p", port, "@127.0.0.1", name)
            env.ns.run("dig", "+tries=1", "+time=2", "+tcp", "-p", port, "@127.0.0.1", name)
        lookups = env.watch.named(seen, 2)
        assert [l["transport"] for l in lookups] == ["udp", "tcp"]
        for lookup in lookups:
            expect(lookup, outcome="answered", server_port=5353)
        assert not [l for l in env.watch.lookups if l["name"] == unseen]


@test("namespaces and interfaces that come while the agent runs are seen, and their going breaks nothing")
def namespaces_come_and_go(env):
    for _ in range(3):
        with Namespace("late") as left, Namespace("late") as right:
            veth(left, right, ["10.99.0.1/24"], ["10.99.0.2/24"])
            with Server(right, "10.99.0.2"), left.socket() as sock:
                name = dnsmsg.unique("newns")
                sock.connect(("10.99.0.2", 53))
                sock.send(dnsmsg.query(name))
                sock.recv(512)
            expect(env.watch.one(name), outcome="answered", netns=left.inode, client="10.99.0.1")
    name = dnsmsg.unique("afterwards")
    with client(env) as sock:
        sock.send(dnsmsg.query(name))
        sock.recv(512)
    expect(env.watch.one(name), outcome="answered")


@test("a namespace that goes while a lookup waits leaves a timeout with its inode number")
def namespace_gone(env):
    name = dnsmsg.unique("gone")
    with Namespace("gone") as ns:
        with ns.socket() as sock:
            sock.sendto(dnsmsg.query(name), ("127.0.0.1", 53))
        inode = ns.inode
    expect(env.watch.one(name), outcome="timeout", netns=inode, pid=os.getpid())


@test("an unanswered TCP query is a timeout, and on a closed connection too")
def tcp_timeout(env):
    for keep_open in (True, False):
        name = env.server.on(dnsmsg.unique("tcpsilent"), silent)
        sock = env.ns.socket(kind=socket.SOCK_STREAM)
        sock.connect(("127.0.0.1", 53))
        sock.sendall(dnsmsg.frame(dnsmsg.query(name)))
        if not keep_open:
            sock.close()
        expect(env.watch.one(name), outcome="timeout", transport="tcp")
        sock.close()


@test("every outcome so far is in the metrics, and the accounting is closed")
def outcome_metrics(env):
    env.agent.balance()
    samples = env.agent.metrics()
    for outcome in ("answered", "timeout", "duplicate", "late", "unmatched", "superseded"):
        assert total(samples, "cortexflow_dns_outcomes_total", outcome=outcome) > 0, outcome
