# SPDX-License-Identifier: Apache-2.0
"""A service's counters over its life: nothing that goes takes anything from them."""

import contextlib
import json
import socket

from agent import total, wait_until
from harness import test
from netns import sh
from shop import SERVICE, VERSIONS, call, manifests, service, set_up, shares, write

setup = set_up

COUNTERS = ("cortexflow_service_connections_total", "cortexflow_service_breaker_refused_total",
            "cortexflow_service_connect_duration_seconds_count", "cortexflow_service_connect_duration_seconds_sum")
LIMIT = {"circuitBreaker": {"maxConnections": 4}}


def two_ports(backends):
    text = manifests(backends, LIMIT)
    port = '{"name": "http", "port": 80, "targetPort": 8080}'
    documents = [json.loads(document) for document in text.split("\n---\n")]
    documents[0]["spec"]["ports"].append({**json.loads(port), "name": "more", "port": 81})
    documents[1]["ports"].append({"name": "more", "port": 8080})
    return "\n---\n".join(map(json.dumps, documents))


def figures(env):
    """The counters, by name and labels, and the live connections."""
    samples = env.agent.metrics()
    return ({(name, tuple(sorted(labels.items()))): value for name, labels, value in samples if name in COUNTERS},
            total(samples, "cortexflow_service_active_connections", service="cart"))


def results(env):
    return {labels["result"]: value for name, labels, value in env.agent.metrics() if name == COUNTERS[0]}


def none_fell(before, after):
    fell = {key: (value, after.get(key)) for key, value in before.items() if after.get(key, -1) < value}
    assert not fell, fell


def connect(env, stack, port=80):
    sock = stack.enter_context(env.client.socket(kind=socket.SOCK_STREAM))
    sock.connect((SERVICE, port))
    return sock


def refused(env, port=80):
    with env.client.socket(kind=socket.SOCK_STREAM) as sock:
        return sock.connect_ex((SERVICE, port)) != 0


def put(env, text, holds, what):
    write(env, text)
    wait_until(holds, 5, what)


def rows(env):
    return [row for row in env.agent.get("/v1/services")["services"] if row["name"] == "shop/cart"]


@test("no counter falls when backends and ports go, and a connection that outlives them is counted at its end", seconds=60)
def outlived(env):
    put(env, two_ports((0, 1, 2)), lambda: len(rows(env)) == 2 and all(r["max_connections"] == 4 for r in rows(env)), "two ports")
    assert sum(call(env, 9).values()) == 9
    with contextlib.ExitStack() as stack:
        for port in (80, 81):
            for _ in range(4):
                connect(env, stack, port)
            assert refused(env, port)
        before, live = figures(env)
        assert live == 8 and before[(COUNTERS[1], (("namespace", "shop"), ("service", "cart")))] == 2, (live, before)
        ended = results(env)["ended"]
        put(env, two_ports((0,)), lambda: shares(env) == {"0": 1.0}, "two backends have gone")
        after, live = figures(env)
        none_fell(before, after)
        assert live == 8, live
        put(env, manifests((0,), LIMIT), lambda: len(rows(env)) == 1, "a port has gone")
        after, live = figures(env)
        none_fell(before, after)
        assert live == 8, live
        put(env, manifests((), LIMIT), lambda: shares(env) == {}, "no backend is left")
        none_fell(after, figures(env)[0])
    wait_until(lambda: results(env)["ended"] == ended + 8, 5, "each connection's end is counted")
    wait_until(lambda: results(env)["ended"] == results(env)["established"] and figures(env)[1] == 0, 5, "none is live")
    wait_until(lambda: loads(env) == 0, 5, "what has ended leaves the table")
    none_fell(after, figures(env)[0])


def loads(env):
    return len(json.loads(sh("bpftool", "-j", "map", "dump", "pinned", f"{env.place.pins}/svc_load_be")))


@test("a service that goes takes its figures along, also those of connections that it leaves behind", seconds=40)
def forgotten(env):
    put(env, manifests((0, 1, 2)), lambda: len(shares(env)) == 3, "three backends")
    with contextlib.ExitStack() as stack:
        connect(env, stack)
        put(env, manifests((0, 1, 2)).replace('"cart"', '"basket"'), lambda: service(env) is None, "cart has gone")
        assert not results(env).get("established")
        assert total(env.agent.metrics(), "cortexflow_service_active_connections") == 0
        wait_until(lambda: loads(env) == 3, 5, "only the other service's backends are counted")
    put(env, manifests((0, 1, 2)), lambda: len(shares(env)) == 3, "cart is there again")
    assert results(env)["established"] == 0


@test("a service port that is given another name goes on with its number, its counts and its limit", seconds=40)
def renamed(env):
    put(env, manifests((0, 1, 2), LIMIT), lambda: service(env)["max_connections"] == 4, "a limit")
    number = service(env)["number"]
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            connect(env, stack)
        assert refused(env)
        before, _ = figures(env)
        put(env, manifests((0, 1, 2), LIMIT).replace('"http"', '"web"'), lambda: service(env)["port"] == "web", "another name")
        assert service(env)["number"] == number
        after, live = figures(env)
        none_fell(before, after)
        assert live == 4 and refused(env), live


@test("ejections that were counted stay counted when the policy that wished them goes", seconds=60)
def ejections(env):
    put(env, manifests((0, 1, 2), {"outlierDetection": {"consecutiveLocalOriginFailures": 1, "baseEjectionTime": "60s"}}),
        lambda: len(shares(env)) == 3, "a policy")
    env.servers[2].kill()
    env.servers[2].wait()

    def counted():
        return total(env.agent.metrics(), "cortexflow_service_ejections_total", service="cart")

    def ejected():
        connect_anyway(env)
        return counted() == 1

    wait_until(ejected, 10, "the dead backend is ejected")
    put(env, manifests((0, 1, 2)), lambda: len(shares(env)) == 3, "no policy")
    assert counted() == 1


def connect_anyway(env):
    for _ in VERSIONS:
        with env.client.socket(kind=socket.SOCK_STREAM) as sock:
            sock.connect_ex((SERVICE, 80))
