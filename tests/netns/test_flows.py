# SPDX-License-Identifier: Apache-2.0
"""TCP connections as the agent tells of them when they have ended."""

import contextlib
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import threading
from types import SimpleNamespace

from agent import Agent, Place, total, wait_until
from harness import test
from load import Wrk
from netns import Namespace, veth
from shop import server as web_server

SERVICE = "10.97.3.1"
RING_RECORDS = (2 << 20) // (176 + 8)  # CF_FLOW_RING_BYTES, struct cf_flow and its header in the ring
USER_TIMEOUT = 18  # TCP_USER_TIMEOUT, linux/tcp.h


def pod(name, address):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "status": {"podIP": address}}


def setup(stack):
    client, server = (stack.enter_context(Namespace(label)) for label in ("client", "server"))
    veth(client, server, ["10.62.0.1/24", "fd62::1/64"], ["10.62.0.2/24", "fd62::2/64"])
    place = stack.enter_context(Place())
    os.mkdir(place.path("manifests"))
    objects = [pod("web-1", "10.62.0.1"), pod("cart-1", "10.62.0.2"), {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"clusterIP": SERVICE, "ports": [{"port": 80, "targetPort": 8080}]}}, {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
        "ports": [{"port": 8080}], "endpoints": [{"addresses": ["10.62.0.2"]}]}]
    with open(place.path("manifests/shop.yaml"), "w", encoding="ascii") as file:
        file.write("\n---\n".join(map(json.dumps, objects)))
    agent = stack.enter_context(Agent("--manifests", place.path("manifests"), place=place))
    return SimpleNamespace(client=client, server=server, agent=agent, stack=stack)


@contextlib.contextmanager
def listener(env, address="10.62.0.2", port=0, backlog=8):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with env.server.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(backlog)
        yield sock


def caller(env, family=socket.AF_INET):
    return env.client.socket(family, socket.SOCK_STREAM)


def pair(env, listening):
    """A connection: the caller's end, and the other."""
    opened = caller(env, listening.family)
    opened.connect(listening.getsockname()[:2])
    return opened, listening.accept()[0]


def shown(env, *filters):
    done = env.agent.cfcli("flow", "watch", "--since", "1h", "-o", "json", *map(str, filters))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["summary"]["lost"] == 0, lines[-1]
    return [line["flow"] for line in lines[:-1]]


def flows(env, count, *filters):
    """Exactly so many, once there are: ended connections come in order."""
    found = wait_until(lambda: (now := shown(env, *filters)) and len(now) >= count and now, 5, f"{count} flows {filters}")
    assert len(found) == count, found
    return found


def both(env, port):
    """The flows of a connection to that port, of the opener and of the other."""
    opener, other = sorted(flows(env, 2, "--port", port), key=lambda flow: flow["direction"], reverse=True)
    assert (opener["direction"], other["direction"]) == ("out", "in")
    return opener, other


def abort(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def receive(sock, octets):
    while octets:
        got = len(sock.recv(octets))
        assert got, f"ended {octets} octets early"
        octets -= got


def exchange(env, address, closes_first):
    """The opener sends 5,000 octets, and gets 70,001."""
    with listener(env, address) as listening:
        port = listening.getsockname()[1]
        opened, accepted = pair(env, listening)
        own = opened.getsockname()
        sender = threading.Thread(target=accepted.sendall, args=(b"y" * 70001,))
        sender.start()
        opened.sendall(b"x" * 5000)
        receive(accepted, 5000)
        receive(opened, 70001)
        sender.join()
        first, second = (opened, accepted) if closes_first == "opener" else (accepted, opened)
        first.close()
        assert second.recv(1) == b""
        second.close()
    return own, port


@test("A connection is a flow of each of its sides, with each octet counted once, whoever closes first, over IPv4 and IPv6")
def octets(env):
    for address, source in (("10.62.0.2", "10.62.0.1"), ("fd62::2", "fd62::1")):
        for closes_first in ("opener", "other"):
            own, port = exchange(env, address, closes_first)
            opener, other = both(env, port)
            assert (opener["bytes_sent"], opener["bytes_received"]) == (5000, 70001), (closes_first, opener)
            assert (other["bytes_sent"], other["bytes_received"]) == (70001, 5000), (closes_first, other)
            assert opener["outcome"] == other["outcome"] == "closed"
            assert (opener["local"], opener["local_port"]) == own[:2] == (other["remote"], other["remote_port"])
            assert (opener["remote"], opener["remote_port"]) == (address, port) == (other["local"], other["local_port"])
            assert opener["local"] == source
            assert 0 < opener["connect_latency_ns"] <= opener["duration_ns"]
            assert other["connect_latency_ns"] is None
            assert opener["round_trip_us"] > 0
            assert (opener["netns"], other["netns"]) == (env.client.inode, env.server.inode)
            assert opener["pid"] == os.getpid() and opener["comm"].startswith("python"), opener
            assert other["pid"] == 0


@test("Octets that wait unread, or a reset, end a connection otherwise than a FIN does, and each side knows whose it was")
def resets(env):
    with listener(env) as listening:
        opened, accepted = pair(env, listening)
        abort(opened)
        with contextlib.suppress(ConnectionResetError):
            accepted.recv(1)
        accepted.close()
        opener, other = both(env, listening.getsockname()[1])
        assert (opener["outcome"], other["outcome"]) == ("aborted", "reset")
    with listener(env) as listening:
        opened, accepted = pair(env, listening)
        opened.sendall(b"x")
        wait_until(lambda: accepted.recv(1, socket.MSG_PEEK), 5, "the octet")
        accepted.close()
        with contextlib.suppress(ConnectionResetError):
            opened.recv(1)
        opened.close()
        opener, other = both(env, listening.getsockname()[1])
        assert (opener["outcome"], other["outcome"]) == ("reset", "aborted")
        assert opener["error"] == errno.ECONNRESET


@test("A connection that is never established says why: refused, unreachable, timed out, abandoned")
def never(env):
    with listener(env) as listening:
        free = listening.getsockname()[1]
    with caller(env) as sock:
        assert sock.connect_ex(("10.62.0.2", free)) == errno.ECONNREFUSED
    found = flows(env, 1, "--port", free)[0]
    assert (found["outcome"], found["error"], found["connect_latency_ns"]) == ("refused", errno.ECONNREFUSED, None)

    with caller(env) as sock:  # nobody has the address
        assert sock.connect_ex(("10.62.0.99", 7001)) == errno.EHOSTUNREACH
    assert flows(env, 1, "--port", 7001)[0]["outcome"] == "unreachable"

    # A backlog that is full takes no SYN.
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(listener(env, backlog=0))
        at = listening.getsockname()
        stack.enter_context(caller(env)).connect(at)
        first = stack.enter_context(caller(env))
        first.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            first.connect(at)
            first = stack.enter_context(caller(env))  # it had room for two
        last = caller(env)
        last.setblocking(False)
        assert last.connect_ex(at) == errno.EINPROGRESS
        port = last.getsockname()[1]
        last.close()
        assert flows(env, 1, "--from", f"10.62.0.1:{port}")[0]["outcome"] == "abandoned"
        with caller(env) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, USER_TIMEOUT, 500)
            sock.settimeout(10)
            assert sock.connect_ex(at) == errno.ETIMEDOUT
            port = sock.getsockname()[1]
        found = flows(env, 1, "--from", f"10.62.0.1:{port}")[0]
        assert (found["outcome"], found["error"]) == ("timed_out", errno.ETIMEDOUT)
        assert found["retransmits"] > 0


@test("A side that answers no more leaves a broken connection behind, with what was sent again")
def broken(env):
    with listener(env) as listening:
        port = listening.getsockname()[1]
        opened, accepted = pair(env, listening)
        opened.setsockopt(socket.IPPROTO_TCP, USER_TIMEOUT, 700)
        env.server.ip("address", "del", "10.62.0.2/24", "dev", "veth0")
        env.server.ip("neigh", "flush", "all")
        try:
            opened.sendall(b"into the void")
            opened.settimeout(10)
            try:
                opened.recv(1)
                raise AssertionError("the connection holds")
            except OSError as error:
                assert error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH), error
            opened.close()
        finally:
            env.server.ip("address", "add", "10.62.0.2/24", "dev", "veth0")
            abort(accepted)
        found = flows(env, 1, "--port", port, "--direction", "out")[0]
        assert found["outcome"] == "broken" and found["retransmits"] > 0, found


@test("A flow names the service that was asked for, and the pods on both sides by their addresses")
def names(env):
    with listener(env, port=8080) as listening:
        with caller(env) as opened:
            opened.connect((SERVICE, 80))
            listening.accept()[0].close()
    opener = flows(env, 1, "--service", "cart")[0]
    assert (opener["service"], opener["service_address"], opener["service_port"]) == ("shop/cart", SERVICE, 80)
    assert (opener["remote"], opener["remote_port"]) == ("10.62.0.2", 8080)
    assert (opener["workload"]["pod"], opener["peer"]["pod"]) == ("web-1", "cart-1")
    other = flows(env, 1, "--port", 8080, "--direction", "in")[0]
    assert (other["workload"]["name"], other["peer"]["name"], other["service"]) == ("shop/cart-1", "shop/web-1", "")
    for filters in (("--from", "web-1", "--to", SERVICE), ("--from", "shop/web-*", "--to", "10.62.0.2:8080"),
                    ("--to", f"{SERVICE}:80"), ("--port", 80, "-n", "shop")):
        assert opener in shown(env, *filters), filters
    assert opener not in shown(env, "--not", "--service", "shop/*")
    table = env.agent.cfcli("flow", "watch", "--since", "1h", "--service", "cart").stdout.splitlines()
    assert len(table) == 2 and "shop/cart:80" in table[1] and " -> " in table[1], table
    samples = env.agent.metrics()
    assert total(samples, "cortexflow_flow_connect_duration_seconds_count", workload="shop/web-1", peer="shop/cart-1") >= 1
    assert total(samples, "cortexflow_flow_round_trip_seconds_count", workload="shop/web-1", peer="shop/cart-1") >= 1
    assert total(samples, "cortexflow_flow_connections_total", workload="shop/cart-1", direction="in", outcome="closed") >= 1


@test("Connections that are open are listed with what has gone over them, and are gone from the list when they have ended")
def open_ones(env):
    def listed(*filters):
        done = env.agent.cfcli("flow", "list", "-o", "json", *map(str, filters))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["flows"]

    with listener(env) as listening:
        port = listening.getsockname()[1]
        opened, accepted = pair(env, listening)
        opened.sendall(b"x" * 300)
        receive(accepted, 300)
        found = {flow["direction"]: flow for flow in listed("--port", port)}
        assert set(found) == {"out", "in"}, found
        assert (found["out"]["outcome"], found["out"]["bytes_sent"], found["in"]["bytes_received"]) == ("open", 300, 300)
        assert found["out"]["pid"] == os.getpid() and found["out"]["connect_latency_ns"] > 0
        assert found["out"]["peer"]["pod"] == "cart-1", found["out"]
        assert [flow["direction"] for flow in listed("--port", port, "--to", "cart-1", "--not", "--direction", "in")] == ["out"]
        assert not shown(env, "--port", port)
        table = env.agent.cfcli("flow", "list", "--port", str(port)).stdout.splitlines()
        assert len(table) == 3 and all(" open " in row for row in table[1:]), table
        opened.close()
        accepted.close()
        flows(env, 2, "--port", port)
        assert not listed("--port", port)
    listening = env.stack.enter_context(listener(env, backlog=0))
    env.stack.enter_context(caller(env)).connect(listening.getsockname())
    with caller(env) as waiting:
        waiting.setblocking(False)
        while waiting.connect_ex(listening.getsockname()) != errno.EINPROGRESS or not listed("--outcome", "connecting"):
            env.stack.enter_context(caller(env)).connect(listening.getsockname())  # there was room


@test("A follower is told of a connection as it ends, and not before")
def follows(env):
    with listener(env) as listening:
        port = listening.getsockname()[1]
        opened, accepted = pair(env, listening)
        watch = subprocess.Popen(env.agent.cfcli_argv("flow", "watch", "-o", "json", "--port", str(port), "--limit", "2"),
                                 stdout=subprocess.PIPE, text=True)
        env.stack.callback(watch.kill)
        other_opened, other_accepted = pair(env, listening)
        assert not shown(env, "--port", port)
        opened.close()
        accepted.close()
        said = [json.loads(watch.stdout.readline())["flow"] for _ in range(2)]
        assert {flow["direction"] for flow in said} == {"out", "in"}
        assert watch.wait(5) == 0
        other_opened.close()
        other_accepted.close()


def connections_of(namespace):
    """That its sockets have ever opened or accepted."""
    head, values = (line.split() for line in namespace.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:"))
    return sum(int(values[head.index(name)]) for name in ("ActiveOpens", "PassiveOpens"))


def balanced(env):
    def closed():
        now = env.agent.status()["flows"]
        return now if now["emitted"] == now["delivered"] + sum(now["lost"].values()) else None

    return wait_until(closed, 10, "emitted == delivered + lost")


@test("Every connection under load has a record of each side", seconds=120)
def under_load(env):
    before, made = balanced(env), connections_of(env.client) + connections_of(env.server)
    with contextlib.ExitStack() as stack:
        web = web_server(env.server, "10.62.0.2", "/usr/share/doc")
        stack.callback(web.wait)
        stack.callback(web.kill)
        wrk = Wrk(env.client, "http://10.62.0.2:8080/")
        stack.callback(wrk.close)
        wait_until(lambda: connections_of(env.client) + connections_of(env.server) >= made + 1000, 60, "1000 ends of connections")
        wrk.end()

    def records_and_ends():
        now = balanced(env)
        return now["emitted"] - before["emitted"], connections_of(env.client) + connections_of(env.server) - made

    try:
        wait_until(lambda: (seen := records_and_ends())[0] == seen[1], 20, "a record of each end")
    except AssertionError as error:
        raise AssertionError(f"{error}: {records_and_ends()}") from error
    assert not any(balanced(env)["lost"].values())


@test("What an agent that stands still can't take is counted as lost, each record of it", seconds=120)
def stands_still(env):
    with listener(env) as listening:
        at = listening.getsockname()
    before = balanced(env)
    env.agent.signal(signal.SIGSTOP)
    try:
        with env.client.entered():
            for _ in range(RING_RECORDS + 1000):
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                    assert sock.connect_ex(at) == errno.ECONNREFUSED
    finally:
        env.agent.signal(signal.SIGCONT)
    now = balanced(env)
    assert now["emitted"] - before["emitted"] == RING_RECORDS + 1000, (before, now)
    assert now["lost"]["ring_full"] - before["lost"]["ring_full"] >= 1000, (before, now)
    with caller(env) as sock:  # and goes on
        assert sock.connect_ex(at) == errno.ECONNREFUSED
    wait_until(lambda: balanced(env)["delivered"] > now["delivered"], 5, "the next one")


@test("A top of flows adds them up, by pair and by what was asked for")
def tops(env):
    def rows(*flags):
        done = env.agent.cfcli("flow", "top", "--once", "-o", "json", *flags)
        assert done.returncode == 0, done.stderr
        return {row["key"]: row for row in json.loads(done.stdout)["rows"]}

    with listener(env, port=8080) as listening:
        for _ in range(3):
            with caller(env) as opened:
                opened.connect((SERVICE, 80))
                accepted = listening.accept()[0]
                opened.sendall(b"x" * 10)
                receive(accepted, 10)
                accepted.close()
    asked = wait_until(lambda: (row := rows("--by", "destination", "--since", "5m").get("shop/cart:80")) and row["bytes_sent"] >= 30 and row,
                       5, "three connections to the service, beside those of tests before, which may have sent nothing")
    assert asked["connections"] >= 3 and asked["p50_connect_ns"] > 0, asked
    pair = rows("--by", "pair", "--direction", "out", "--service", "cart")["shop/web-1 -> shop/cart-1"]
    assert pair["connections"] == asked["connections"], (pair, asked)
    table = env.agent.cfcli("flow", "top", "--once", "--by", "pair").stdout
    assert "CONNECTIONS" in table and "shop/web-1 -> shop/cart-1" in table, table
