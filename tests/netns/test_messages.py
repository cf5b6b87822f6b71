# SPDX-License-Identifier: Apache-2.0
"""What is in a DNS message, and messages that are none."""

import contextlib
import os
import socket
import struct
from types import SimpleNamespace

import dnsmsg
from agent import Agent, expect
from dnsserver import Server
from harness import test
from netns import Namespace


def setup(stack):
    agent = stack.enter_context(Agent())
    ns = stack.enter_context(Namespace("msg"))
    server = stack.enter_context(Server(ns))
    watch = stack.enter_context(agent.watch())
    return SimpleNamespace(agent=agent, ns=ns, server=server, watch=watch)


def exchange(env, message, answered=True):
    with env.ns.socket() as sock:
        sock.connect(("127.0.0.1", 53))
        sock.send(message)
        return sock.recv(65535) if answered else None


def scripted(env, label, script, **query):
    """Asks for a name that the server answers by the script; answers the lookup."""
    name = env.server.on(dnsmsg.unique(label), script)
    exchange(env, dnsmsg.query(name, **query))
    return env.watch.one(name)


def shown(env, labels, text):
    """A name of these labels, below a unique one, is shown as `text` before it."""
    below = dnsmsg.unique("n")
    exchange(env, dnsmsg.query(labels + [part.encode() for part in below.split(".")]))
    expected = f"{text}.{below}"
    seen = env.watch.wait_for(lambda lookup: lookup["name"].endswith(below))[0]["name"]
    assert seen == expected, f"{seen!r}, expected {expected!r}"


@test("the EDNS size is the query's, and 0 without EDNS")
def edns(env):
    for size in (0, 512, 1232, 65535):
        expect(scripted(env, "edns", lambda q: [q.answer(edns=512)], edns=size), edns_size=size, outcome="answered")


@test("an extended rcode of EDNS is put together from its two parts")
def extended_rcode(env):
    for records in ([], [dnsmsg.address_record(dnsmsg.A)] * 3):  # right behind the question, and further on
        lookup = scripted(env, "badvers", lambda q, r=records: [q.answer(records=r, edns=1232, extended_rcode=1)], edns=1232)
        expect(lookup, rcode="BADVERS", answers=len(records))


@test("compressed names in the answer do not matter")
def compressed(env):
    def script(q):
        alias = b"\x05alias\xc0\x0c"  # alias.<the question>
        records = [(dnsmsg.CNAME, alias), (dnsmsg.CNAME, b"\xc0\x0c"), dnsmsg.address_record(q.qtype)]
        return [q.answer(records=records)]

    expect(scripted(env, "compressed", script), answers=3, outcome="answered", rcode="NOERROR")


@test("an answer whose question is compressed, or that has none, is matched by its id")
def broken_question(env):
    for count, question in ((1, b"\xc0\x0c\0\1\0\1"), (0, b"")):  # a pointer to itself: no sound server sends that
        def script(q, head=(0x8180, count, 0, 0, 0), rest=question):
            return [struct.pack("!6H", q.ident, *head) + rest]

        expect(scripted(env, "broken", script), outcome="answered", rcode="NOERROR", has_answer=True)


@test("a name of 255 octets is whole")
def longest_name(env):
    head = dnsmsg.unique("long").split(".")[0].encode()
    labels = [head.ljust(63, b"a"), b"b" * 63, b"c" * 63, b"d" * 61]
    assert len(dnsmsg.wire_name(labels)) == 255
    exchange(env, dnsmsg.query(labels))
    expect(env.watch.one(b".".join(labels).decode()), outcome="answered")


@test("a name of 127 labels is whole")
def most_labels(env):
    labels = [bytes([97 + i % 26]) for i in range(127)]
    assert len(dnsmsg.wire_name(labels)) == 255
    exchange(env, dnsmsg.query(labels))
    expect(env.watch.one(b".".join(labels).decode()), outcome="answered")


@test("the root is shown as a dot")
def root(env):
    exchange(env, dnsmsg.query([], dnsmsg.NS))
    lookup = env.watch.wait_for(lambda l: l["name"] == "." and l["netns"] == env.ns.inode)[0]
    expect(lookup, qtype="NS", outcome="answered")


@test("mixed case (0x20) is kept as it was sent, and matched whatever case the server answers in")
def mixed_case(env):
    name = "WwW.ExAmPlE-" + dnsmsg.unique("Case")
    exchange(env, dnsmsg.query(name))
    expect(env.watch.one(name), outcome="answered")
    lower = "LoWeR-" + dnsmsg.unique("Case")
    env.server.on(lower, lambda q: [q.answer().replace(q.question, q.question.lower())])
    exchange(env, dnsmsg.query(lower))
    expect(env.watch.one(lower), outcome="answered")


@test("a dot and a backslash inside a label are escaped")
def escapes(env):
    shown(env, [b"a.b"], r"a\.b")
    shown(env, [b"a\\b"], r"a\\b")


@test("blanks, control characters and octets above 127 are shown as decimal escapes")
def decimal_escapes(env):
    shown(env, [b"a b"], r"a\032b")
    shown(env, [b"\x00\n\x7f"], r"\000\010\127")
    shown(env, ["zürich".encode()], r"z\195\188rich")
    shown(env, [b"\xff" * 63], r"\255" * 63)


@test("types and classes without a name are shown by number, with one by name")
def types(env):
    for qtype, qclass, type_name, class_name in ((65, 1, "HTTPS", "IN"), (65280, 1, "TYPE65280", "IN"), (16, 3, "TXT", "CH"),
                                                 (255, 255, "ANY", "ANY"), (1, 4660, "A", "CLASS4660")):
        lookup = scripted(env, "types", lambda q: [q.answer(records=[])], qtype=qtype, qclass=qclass)
        expect(lookup, qtype=type_name, qclass=class_name, answers=0)


@test("NXDOMAIN, SERVFAIL, REFUSED, NOTIMP and FORMERR are told apart")
def rcodes(env):
    for rcode in ("FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"):
        number = getattr(dnsmsg, rcode)
        expect(scripted(env, rcode.lower(), lambda q, n=number: [q.answer(n)]), rcode=rcode, outcome="answered", answers=0,
               has_answer=True)


@test("an unassigned rcode is shown by number")
def odd_rcode(env):
    expect(scripted(env, "odd", lambda q: [q.answer(15)]), rcode="RCODE15", outcome="answered")


@test("the flags AA, AD and TC are each shown on their own")
def flags(env):
    for flag, key in ((dnsmsg.AA, "authoritative"), (dnsmsg.AD, "authenticated"), (dnsmsg.TC, "truncated")):
        lookup = scripted(env, key, lambda q, f=flag: [q.answer(flags=f)])
        expect(lookup, **{other: other == key for other in ("authoritative", "authenticated", "truncated")})


@test("dig's truncated answer and its retry over TCP are two lookups of one question")
def truncated_then_tcp(env):
    def script(q):
        if q.transport == "udp":
            return [q.answer(records=[], flags=dnsmsg.TC)]
        return [q.answer(records=dnsmsg.padding(4000))]

    name = env.server.on(dnsmsg.unique("tc"), script)
    out = env.ns.run("dig", "+tries=1", "+time=3", "+short", "@127.0.0.1", name, "TXT")
    assert out.count("xxx") >= 1, out
    udp, tcp = env.watch.named(name, 2)
    expect(udp, transport="udp", truncated=True, outcome="answered", answers=0)
    expect(tcp, transport="tcp", truncated=False, outcome="answered", answers=len(dnsmsg.padding(4000)))
    assert udp["pid"] == tcp["pid"] != 0


@test("2,000 random messages each way break nothing: the next lookup is right")
def random_junk(env):
    with env.ns.socket() as sock:
        sock.connect(("127.0.0.1", 53))
        for i in range(2000):
            sock.send(os.urandom(i % 600))
    with env.ns.socket() as fake, env.ns.socket() as client:  # and from port 53 to a client
        fake.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        fake.bind(("127.0.0.9", 53))
        client.bind(("127.0.0.1", 0))
        for i in range(2000):
            fake.sendto(os.urandom(i % 600), client.getsockname())
    name = dnsmsg.unique("afterjunk")
    with contextlib.suppress(TimeoutError):
        exchange(env, dnsmsg.query(name))
    expect(env.watch.one(name), name=name)
    env.agent.balance()
    assert env.agent.process.poll() is None


@test("junk over TCP on port 53 breaks nothing: the next connection's lookup is right")
def tcp_junk(env):
    for data in (os.urandom(5000), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\0" * 500, b"\xff\xff" + b"z" * 100):
        with env.ns.socket(kind=socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
            sock.connect(("127.0.0.1", 53))
            sock.sendall(data)
    name = dnsmsg.unique("aftertcpjunk")
    with env.ns.socket(kind=socket.SOCK_STREAM) as sock:
        sock.connect(("127.0.0.1", 53))
        sock.sendall(dnsmsg.frame(dnsmsg.query(name)))
        sock.recv(65535)
    expect(env.watch.one(name), transport="tcp", outcome="answered")
