# SPDX-License-Identifier: Apache-2.0
"""What can't be read is counted under its own cause, on real traffic, and the accounting stays closed.

Of enum cf_dns_counter (bpf/abi/dns.h) only CF_DNS_C_HELPER_FAILED has no test here: nothing that a socket can do makes a
kernel helper fail.
"""

import contextlib
import socket
import struct
from types import SimpleNamespace

import dnsmsg
from agent import Agent, expect, wait_until
from dnsserver import Server, read_message
from harness import test
from netns import Namespace, veth

ERRORS = {"short", "name", "question_count", "opcode", "ip_header", "fragment", "tcp_gap", "many"}
NEAR, FAR = "10.55.0.1", "10.55.0.2"
HEAD = dnsmsg.query(".")[:12]


def setup(stack):
    agent = stack.enter_context(Agent("--dns-timeout", "500ms"))
    near = stack.enter_context(Namespace("bad"))
    far = stack.enter_context(Namespace("badfar"))
    veth(near, far, [f"{NEAR}/24"], [f"{FAR}/24"])
    server = stack.enter_context(Server(near))
    server.default = lambda query: []  # an answer would repeat the junk
    watch = stack.enter_context(agent.watch())
    return SimpleNamespace(agent=agent, near=near, far=far, server=server, watch=watch)


@contextlib.contextmanager
def counted(env, **expected):
    """Exactly these causes rise by these numbers while the block runs; no lookup comes of it."""
    before, seen = env.agent.status()["parse_errors"], len(env.watch.lookups)

    def risen():
        now = env.agent.status()["parse_errors"]
        return {cause: now[cause] - before[cause] for cause in now if now[cause] != before[cause]}

    yield
    with contextlib.suppress(AssertionError):
        wait_until(lambda: risen() == expected, 2)
    env.watch.settle()
    assert risen() == expected, f"{risen()}, expected {expected}"
    assert len(env.watch.lookups) == seen + 1, env.watch.lookups[seen:]  # the mark alone
    env.agent.balance()


def junk(env, cause, *messages):
    """The messages are passed on, show no lookup, and each is counted once under that cause."""
    for message in messages:
        arrived = len(env.server.received)
        with counted(env, **{cause: 1}), env.near.socket() as sock:
            sock.sendto(message, ("127.0.0.1", 53))
        wait_until(lambda n=arrived: len(env.server.received) > n, 2, "the server gets it all the same")


@test("the causes of the API are those that are tested here")
def causes(env):
    assert set(env.agent.status()["parse_errors"]) == ERRORS


@test("an empty message, one of one octet, and a header that is cut")
def short(env):
    junk(env, "short", b"", b"x", HEAD[:11])


@test("a message that ends behind its name, before its class")
def cut_question(env):
    junk(env, "short", dnsmsg.query("cut.question.test")[:-3])


@test("a name that runs past the message")
def cut_name(env):
    junk(env, "name", dnsmsg.query("cut.question.test")[:16], HEAD + b"\x3fp\4test\0\0\1\0\1")


@test("a label of more than 63 octets")
def huge_label(env):
    junk(env, "name", HEAD + b"\x40" + b"y" * 64 + b"\0\0\1\0\1", HEAD + b"\xbf" + b"y" * 191 + b"\0\0\1\0\1")


@test("a query whose name is a compression pointer to itself")
def pointer_loop(env):
    junk(env, "name", HEAD + b"\xc0\x0c\0\1\0\1")


@test("a name of 256 octets")
def too_long_name(env):
    labels = [b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 62]
    assert len(dnsmsg.wire_name(labels)) == 256
    junk(env, "name", dnsmsg.query(labels))


@test("no question, two questions, 65535 questions")
def question_count(env):
    message = dnsmsg.query("count.test")
    junk(env, "question_count", *(message[:4] + struct.pack("!H", count) + message[6:] for count in (0, 2, 65535)))


@test("a STATUS, a NOTIFY and an UPDATE")
def opcode(env):
    junk(env, "opcode", *(dnsmsg.query("opcode.test", flags=number << 11) for number in (2, 4, 5)))


@test("nine IPv6 extension headers before the query: more than are walked")
def ip_header(env):
    udp = struct.pack("!4H", 40053, 53, 8, 0)
    options = b"".join(struct.pack("!BBBB4x", 60 if i < 8 else socket.IPPROTO_UDP, 0, 1, 4) for i in range(9))
    loopback = socket.inet_pton(socket.AF_INET6, "::1")
    head = struct.pack("!IHBB", 6 << 28, len(options) + len(udp), 60, 64) + loopback + loopback
    with counted(env, ip_header=1), env.near.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(head + options + udp, ("::1", 0))


@test("a later fragment, which has no ports, from a socket that fragments by itself")
def fragment(env):
    offset = 185  # in units of 8 octets: 1,480
    packet = struct.pack("!BBHHHBBH", 0x45, 0, 0, 7, offset, 64, socket.IPPROTO_UDP, 0)
    packet += socket.inet_aton("127.0.0.1") * 2 + b"z" * 64
    with counted(env, fragment=1), env.near.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, ("127.0.0.1", 0))


@test("2,000 messages in one segment are more than are followed; the connection's next query is a lookup again")
def many(env):
    messages = b"".join(dnsmsg.frame(dnsmsg.query(".", ident=i, flags=2 << 11)) for i in range(2000))
    name = dnsmsg.unique("after-many")
    before = env.agent.status()["parse_errors"]
    with env.near.socket(kind=socket.SOCK_STREAM) as sock:
        sock.connect(("127.0.0.1", 53))
        sock.sendall(messages)
        wait_until(lambda: env.agent.status()["parse_errors"]["many"] == before["many"] + 1, 2, "counted once")
        sock.sendall(dnsmsg.frame(dnsmsg.query(name)))
        expect(env.watch.one(name), transport="tcp")
    env.agent.balance()


@test("a TCP answer of which a segment is lost on the way is a gap; the next connection's lookup is right")
def tcp_gap(env):
    mac = env.near.ip("-br", "link", "show", "veth0").split()[2]

    def send_to(lladdr, conn, data):
        env.far.ip("neighbour", "replace", NEAR, "lladdr", lladdr, "dev", "veth0", "nud", "permanent")
        conn.sendall(data)

    def lose_a_segment(conn):
        conn.sendall(dnsmsg.frame(dnsmsg.Query(read_message(conn), "tcp").answer()))
        data = dnsmsg.frame(dnsmsg.Query(read_message(conn), "tcp").answer())
        send_to("02:00:00:00:00:99", conn, data[:20])  # to nobody
        send_to(mac, conn, data[20:])
        read_message(conn)  # until the client has gone

    def ask(sock, label):
        asked = dnsmsg.unique(label)
        sock.sendall(dnsmsg.frame(dnsmsg.query(asked)))
        assert read_message(sock), "TCP has mended the loss"
        return asked

    before = env.agent.status()["parse_errors"]
    with Server(env.far, FAR) as far:
        far.tcp = lose_a_segment
        with env.near.socket(kind=socket.SOCK_STREAM) as sock:
            sock.connect((FAR, 53))
            whole, lost = ask(sock, "whole"), ask(sock, "gap")
        after = env.agent.status()["parse_errors"]
        risen = {cause: after[cause] - before[cause] for cause in after if after[cause] != before[cause]}
        assert risen == {"tcp_gap": 1}, risen
        assert env.watch.one(whole)["outcome"] == "answered"
        assert env.watch.one(lost)["outcome"] == "timeout"
        far.tcp = None
        with env.near.socket(kind=socket.SOCK_STREAM) as sock:
            sock.connect((FAR, 53))
            assert env.watch.one(ask(sock, "aftergap"))["outcome"] == "answered"
    env.agent.balance()


@test("an answer that nobody asked for and that can't be read is a record lost as not parsed")
def not_parsed(env):
    before = env.agent.status()
    answer = dnsmsg.Query(dnsmsg.query("p.test"), "udp").answer()
    with counted(env, name=1), env.near.socket() as server, env.near.socket() as client:
        server.bind(("127.0.0.9", 53))
        client.bind(("127.0.0.1", 0))
        server.sendto(answer[:12] + b"\x80" + answer[13:], client.getsockname())
    status = env.agent.balance()
    assert status["lost"]["not_parsed"] == before["lost"]["not_parsed"] + 1, status["lost"]
    assert {**status["lost"], "not_parsed": 0} == {**before["lost"], "not_parsed": 0}


@test("the metrics have the same causes and counts as the API")
def in_metrics(env):
    status = env.agent.status()
    samples = env.agent.metrics()
    have = {labels["cause"]: value for name, labels, value in samples if name == "cortexflow_dns_parse_errors_total"}
    assert have == status["parse_errors"], (have, status["parse_errors"])
