# SPDX-License-Identifier: Apache-2.0
"""DNS over TCP: the stream is cut into segments where the sender likes."""

import fcntl
import os
import socket
import struct
from types import SimpleNamespace

import dnsmsg
from agent import Agent, expect, wait_until
from dnsserver import Server, read_message
from harness import test
from netns import Namespace, veth

SIOCOUTQNSD = 0x894B  # linux/sockios.h: octets that are not sent yet


def setup(stack):
    agent = stack.enter_context(Agent())
    ns = stack.enter_context(Namespace("tcp"))
    far = stack.enter_context(Namespace("tcpfar"))
    veth(ns, far, ["10.54.0.1/24", "fd54::1/64"], ["10.54.0.2/24", "fd54::2/64"])
    server = stack.enter_context(Server(ns))
    watch = stack.enter_context(agent.watch())
    return SimpleNamespace(agent=agent, ns=ns, far=far, server=server, watch=watch)


def connect(env, address="127.0.0.1"):
    sock = env.ns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect((address, 53))
    return sock


def write(sock, data, *cuts):
    """Sends the data in pieces that end at the given places, each as a segment of its own."""
    for start, end in zip((0, *cuts), cuts):
        sock.sendall(data[start:end])
        wait_until(lambda: not struct.unpack("i", fcntl.ioctl(sock, SIOCOUTQNSD, b"\0" * 4))[0], 2, "the segment is sent")
    sock.sendall(data[cuts[-1]:])


def names_of(label, count):
    return [dnsmsg.unique(label) for _ in range(count)]


@test("one query and its answer over TCP, IPv4 and IPv6, are a lookup with the process")
def plain(env):
    for address in ("10.54.0.2", "fd54::2"):
        with Server(env.far, address), connect(env, address) as sock:
            name = dnsmsg.unique("plain")
            message = dnsmsg.query(name)
            sock.sendall(dnsmsg.frame(message))
            answer = read_message(sock)
            expect(env.watch.one(name), transport="tcp", outcome="answered", server=address, pid=os.getpid(), answers=1,
                   netns=env.ns.inode, id=dnsmsg.ident_of(message), query_size=len(message), answer_size=len(answer),
                   transmissions=1)


@test("a query in many segments, down to one octet each")
def many_segments(env):
    for step in (1, 7):
        name = dnsmsg.unique("segments")
        with connect(env) as sock:
            data = dnsmsg.frame(dnsmsg.query(name))
            write(sock, data, *range(step, len(data), step))
            read_message(sock)
        expect(env.watch.one(name), transport="tcp", outcome="answered", query_size=len(data) - 2)


@test("the length in a segment of its own, and split between two")
def length_split(env):
    for cuts in ((2,), (1,), (1, 2), (1, 14)):
        name = dnsmsg.unique("length")
        with connect(env) as sock:
            write(sock, dnsmsg.frame(dnsmsg.query(name)), *cuts)
            read_message(sock)
        expect(env.watch.one(name), transport="tcp", outcome="answered")


@test("several queries in one segment are a lookup each")
def pipelined(env):
    names = names_of("pipe", 8)
    with connect(env) as sock:
        sock.sendall(b"".join(dnsmsg.frame(dnsmsg.query(name, ident=i)) for i, name in enumerate(names)))
        for _ in names:
            read_message(sock)
    for i, name in enumerate(names):
        expect(env.watch.one(name), transport="tcp", outcome="answered", id=i, transmissions=1)


@test("two and a half queries in one segment, the rest in the next")
def straddling(env):
    names = names_of("half", 4)
    frames = [dnsmsg.frame(dnsmsg.query(name)) for name in names]
    with connect(env) as sock:
        write(sock, b"".join(frames), len(frames[0]) + len(frames[1]) + len(frames[2]) // 2)
        for _ in names:
            read_message(sock)
    for name in names:
        expect(env.watch.one(name), transport="tcp", outcome="answered")


@test("a segment that ends inside the next query's length")
def straddling_length(env):
    names = names_of("odd", 2)
    frames = [dnsmsg.frame(dnsmsg.query(name)) for name in names]
    with connect(env) as sock:
        write(sock, b"".join(frames), len(frames[0]) + 1)
        for _ in names:
            read_message(sock)
    for name in names:
        expect(env.watch.one(name), transport="tcp", outcome="answered")


def answering(env, count, reply):
    """A server that reads `count` queries and calls reply(conn, queries)."""
    def serve(conn):
        queries = [dnsmsg.Query(read_message(conn), "tcp") for _ in range(count)]
        reply(conn, queries)
        conn.recv(1)

    server = Server(env.ns, "127.0.0.3")
    server.tcp = serve
    return server


@test("several answers in one segment, in another order than asked, find their queries")
def answers_together(env):
    names = names_of("together", 5)

    def reply(conn, queries):
        conn.sendall(b"".join(dnsmsg.frame(q.answer(i)) for i, q in reversed(list(enumerate(queries)))))

    with answering(env, len(names), reply), connect(env, "127.0.0.3") as sock:
        for name in names:
            sock.sendall(dnsmsg.frame(dnsmsg.query(name)))
        for _ in names:
            read_message(sock)
    for name, rcode in zip(names, ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP")):
        expect(env.watch.one(name), outcome="answered", rcode=rcode)


@test("an answer in segments of one octet")
def answer_in_octets(env):
    name = dnsmsg.unique("octets")
    with answering(env, 1, lambda conn, queries: write(conn, data := dnsmsg.frame(queries[0].answer()), *range(1, len(data)))), \
            connect(env, "127.0.0.3") as sock:
        sock.sendall(dnsmsg.frame(dnsmsg.query(name)))
        size = len(read_message(sock))
    expect(env.watch.one(name), outcome="answered", answer_size=size, answers=1)


@test("an answer of 20 KB over loopback and over veth, and the query behind it on the same connection")
def large_answer(env):
    with Server(env.far, "10.54.0.2") as far:
        for server, address in ((env.server, "127.0.0.1"), (far, "10.54.0.2")):
            name = server.on(dnsmsg.unique("large"), lambda q: [q.answer(records=dnsmsg.padding(20000))])
            after = dnsmsg.unique("after")
            with connect(env, address) as sock:
                sock.sendall(dnsmsg.frame(dnsmsg.query(name, dnsmsg.TXT)))
                size = len(read_message(sock))
                assert size > 19000, size
                sock.sendall(dnsmsg.frame(dnsmsg.query(after)))
                read_message(sock)
            expect(env.watch.one(name), outcome="answered", answer_size=size, answers=len(dnsmsg.padding(20000)))
            expect(env.watch.one(after), outcome="answered")


@test("the largest answer that TCP allows, 65,535 octets, and the query behind it")
def largest_answer(env):
    name, after = dnsmsg.unique("largest"), dnsmsg.unique("behind")
    env.server.on(name, lambda q: [q.answer(records=dnsmsg.padding(60000)).ljust(65535, b"\0")])
    with connect(env) as sock:
        sock.sendall(dnsmsg.frame(dnsmsg.query(name, dnsmsg.TXT)))
        read_message(sock)
        sock.sendall(dnsmsg.frame(dnsmsg.query(after)))
        read_message(sock)
    expect(env.watch.one(name), outcome="answered", answer_size=65535)
    expect(env.watch.one(after), outcome="answered")


@test("twenty connections at once under the same ids do not mix")
def many_connections(env):
    names = names_of("mix", 20)
    socks = [connect(env) for _ in names]
    for part in range(2):
        for name, sock in zip(names, socks):
            data = dnsmsg.frame(dnsmsg.query(name, ident=1))
            half = len(data) // 2
            sock.sendall(data[half:] if part else data[:half])
    for sock in socks:
        read_message(sock)
        sock.close()
    for name in names:
        expect(env.watch.one(name), transport="tcp", outcome="answered", transmissions=1)


@test("a hundred queries one after the other on one connection")
def long_connection(env):
    names = names_of("chain", 100)
    with connect(env) as sock:
        for name in names:
            sock.sendall(dnsmsg.frame(dnsmsg.query(name)))
            read_message(sock)
    found = env.watch.wait_for(lambda l: l["name"] in set(names), 100)
    assert sorted(l["name"] for l in found) == sorted(names)
    assert {l["outcome"] for l in found} == {"answered"}
