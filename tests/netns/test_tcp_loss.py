# SPDX-License-Identifier: Apache-2.0
"""DNS over TCP from which segments are lost on the way: what is lost is counted, what is whole is still read."""

import socket
from types import SimpleNamespace

import dnsmsg
from agent import Agent
from dnsserver import Server, read_message
from harness import test
from isolation import PATIENCE
from netns import Namespace, veth

NEAR, FAR = "10.56.0.1", "10.56.0.2"


def setup(stack):
    agent = stack.enter_context(Agent("--dns-timeout", f"{500 * PATIENCE:.0f}ms"))
    near = stack.enter_context(Namespace("loss"))
    far = stack.enter_context(Namespace("lossfar"))
    veth(near, far, [f"{NEAR}/24"], [f"{FAR}/24"])
    # What is lost goes again once what follows has come, however long a slow machine takes to send that.
    far.ip("route", "change", "10.56.0.0/24", "dev", "veth0", "src", FAR, "rto_min", "3s")
    far.run("sysctl", "-qw", "net.ipv4.tcp_early_retrans=0")
    server = stack.enter_context(Server(far, FAR))
    watch = stack.enter_context(agent.watch())
    mac = near.ip("-br", "link", "show", "veth0").split()[2]
    return SimpleNamespace(agent=agent, near=near, far=far, server=server, watch=watch, mac=mac)


def send_pieces(env, conn, data, size, lost):
    """The data in segments of that size; the one numbered `lost` goes to nobody, until TCP sends it again."""
    for number, start in enumerate(range(0, len(data), size)):
        mac = "02:00:00:00:00:99" if number == lost else env.mac
        env.far.ip("neighbour", "replace", NEAR, "lladdr", mac, "dev", "veth0", "nud", "permanent")
        conn.sendall(data[start : start + size])
    env.far.ip("neighbour", "replace", NEAR, "lladdr", env.mac, "dev", "veth0", "nud", "permanent")


def conversation(env, answers, size, lost_of_first):
    """Asks once for each answer, on one connection; the first answer loses a segment.  Answers (outcomes, errors, strays)."""
    def serve(conn):
        for number, records in enumerate(answers):
            data = dnsmsg.frame(dnsmsg.Query(read_message(conn), "tcp").answer(records=records))
            if number:
                conn.sendall(data)
            else:
                send_pieces(env, conn, data, size, lost_of_first)
        read_message(conn)

    before = env.agent.status()["parse_errors"]
    env.server.tcp = serve
    names = [dnsmsg.unique("loss") for _ in answers]
    seen = len(env.watch.lookups)
    with env.near.socket(kind=socket.SOCK_STREAM) as sock:
        sock.connect((FAR, 53))
        for name in names:
            sock.sendall(dnsmsg.frame(dnsmsg.query(name)))
            assert read_message(sock), "TCP has mended the loss"
    outcomes = [env.watch.one(name)["outcome"] for name in names]
    after = env.agent.status()["parse_errors"]
    strays = [l for l in env.watch.lookups[seen:] if l["name"] not in names and not l["name"].startswith("mark-")]
    return outcomes, {cause: after[cause] - before[cause] for cause in after if after[cause] != before[cause]}, strays


SMALL, LARGE = [dnsmsg.address_record(dnsmsg.A)], dnsmsg.padding(8000)


@test("the first segment of a connection's first answer is lost: counted as a gap")
def first_segment(env):
    outcomes, errors, strays = conversation(env, [SMALL], 20, 0)
    assert errors == {"tcp_gap": 1} and not strays, (outcomes, errors, strays)


@test("a segment in the middle of a large answer is lost: that answer and the ones behind it are read all the same")
def middle(env):
    outcomes, errors, strays = conversation(env, [LARGE, SMALL, SMALL, SMALL], 1000, 3)
    assert outcomes == ["answered"] * 4 and not strays, (outcomes, errors, strays)


@test("the head of an answer is lost: it is counted as a gap, and no other lookup is made up or left unanswered")
def head(env):
    outcomes, errors, strays = conversation(env, [LARGE, SMALL, SMALL, SMALL], 1000, 0)
    assert outcomes[1:] == ["answered"] * 3 and errors == {"tcp_gap": 1} and not strays, (outcomes, errors, strays)
