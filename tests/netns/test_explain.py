# SPDX-License-Identifier: Apache-2.0
"""What is said that callers would get, against what real callers got; and each case of an explanation."""

import errno
import json
import os
import socket
import subprocess

from agent import wait_until
from harness import test
from isolation import CGROUP, MOUNT, cgroup, inside
from netns import Namespace, sh
from shop import SERVICE, apply, call, manifests, service, set_up, shares, split, write

setup = set_up

EVEN = {"0": 0.333, "1": 0.333, "2": 0.333}


def caller_pod(env, version="canary"):
    return "\n---\n" + json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "caller", "namespace": "shop", "labels": {"version": version},
        "annotations": {"cortexflow.io/netns": env.client.path}}, "status": {"podIP": "10.61.0.1"}})


def simulate(env, *args):
    done = env.agent.cfcli("lb", "simulate", "shop/cart", *args, "-o", "json")
    assert done.returncode == 0, done
    (port,) = json.loads(done.stdout)["ports"]
    return port


def said(port):
    return {b["address"].split(".")[2]: b["callers"] for b in port["backends"]}


def explain(env, caller, target="shop/cart:80"):
    done = env.agent.cfcli("explain", caller, target, "-o", "json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def steps(document):
    return " | ".join(f"{s['what']}: {s['says']}" for s in document["steps"])


def put(env, text, condition, what):
    write(env, text)
    wait_until(condition, 5, what)


def algorithm(env, name, text):
    put(env, text, lambda: service(env)["algorithm"] == name, f"algorithm is {name}")


def map_dump(env, name):
    return json.loads(sh("bpftool", "-j", "map", "dump", "pinned", f"{env.place.pins}/{name}"))


def octets(values):
    return [str(int(value, 16)) for value in values]


@test("a simulation of round robin by weights says exactly which backends the next callers get")
def round_robin(env):
    apply(env, manifests((0, 1, 2), split(70, 30)), {"0": 0.35, "1": 0.35, "2": 0.3})
    for callers in (1, 7, 33, 100):
        port = simulate(env, "--callers", str(callers))
        assert port["exact"] and sum(said(port).values()) == callers, port
        assert said(port) == call(env, callers)
    shown = env.agent.cfcli("lb", "simulate", "shop/cart").stdout
    assert "exact" in shown and "nobody else calls in between" in shown, shown
    apply(env, manifests((0, 1, 2)), EVEN)


@test("a simulation by version agrees with what a caller of that version got")
def by_version(env):
    put(env, manifests((0, 1, 2), {**split(90, 10), "matchCallerVersion": True}) + caller_pod(env),
        lambda: service(env)["versions"], "versions matter")
    assert said(simulate(env, "--callers", "9", "--version", "canary")) == {"2": 9}
    assert said(simulate(env, "--callers", "9", "--from", "shop/caller")) == {"2": 9} == call(env, 9)
    assert said(simulate(env, "--callers", "9", "--from", "10.61.0.1")) == {"2": 9}
    apply(env, manifests((0, 1, 2)), EVEN)


@test("a simulation of consistent hashing says which backend one caller gets, and is an expectation for many")
def hashing(env):
    algorithm(env, "ConsistentHash", manifests((0, 1, 2), {"loadBalancing": {"algorithm": "ConsistentHash"}}) + caller_pod(env))
    one = simulate(env, "--callers", "5", "--from", "shop/caller")
    assert one["exact"] and said(one) == call(env, 5)
    many = simulate(env, "--callers", "300")
    assert not many["exact"] and "expectation" in many["assumes"] and abs(said(many)["0"] - 100) < 10, many
    stranger = simulate(env, "--callers", "30", "--from", "192.0.2.7")
    assert not stranger["exact"] and "which is not known" in stranger["assumes"] and set(said(stranger)) == {"0", "1", "2"}, stranger
    own, interface = f"10.61.250.{os.getpid() % 250 + 1}", f"own{os.getpid()}"
    sh("ip", "link", "add", interface, "type", "veth", "peer", "name", f"{interface}p")
    try:
        sh("ip", "addr", "add", f"{own}/32", "dev", interface)
        here = wait_until(lambda: (port := simulate(env, "--callers", "1", "--from", own))["exact"] and port, 5, "the address is known")
    finally:
        sh("ip", "link", "del", interface)
    before = {b["address"].split(".")[2]: b["chosen"] for b in service(env)["backends"]}
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex((SERVICE, 80))
    after = {b["address"].split(".")[2]: b["chosen"] for b in service(env)["backends"]}
    assert here["exact"] and said(here) == {b: 1 for b in after if after[b] > before[b]}, (here, before, after)
    apply(env, manifests((0, 1, 2)), EVEN)


@test("simulations of random and least connections are said to be expectations")
def expectations(env):
    algorithm(env, "Random", manifests((0, 1, 2), {"loadBalancing": {"algorithm": "Random"}}))
    port = simulate(env, "--callers", "30")
    assert not port["exact"] and "by lot" in port["assumes"] and said(port) == {"0": 10, "1": 10, "2": 10}, port
    algorithm(env, "LeastConnections", manifests((0, 1, 2), {"loadBalancing": {"algorithm": "LeastConnections"}}))
    held = [env.client.socket(kind=1) for _ in range(5)]
    try:
        port = simulate(env, "--callers", "5")
        assert not port["exact"] and "stay connected" in port["assumes"], port
        for sock in held:
            sock.connect((SERVICE, 80))
        got = {b["address"].split(".")[2]: b["active"] for b in service(env)["backends"]}
        assert got == said(port), (got, port)
    finally:
        for sock in held:
            sock.close()
    apply(env, manifests((0, 1, 2)), EVEN)


@test("a simulation says what the circuit breaker would refuse, and what a service without backends does")
def refusals(env):
    put(env, manifests((0, 1, 2), {"circuitBreaker": {"maxConnections": 4}}), lambda: service(env)["max_connections"] == 4, "a limit")
    assert simulate(env, "--callers", "10")["breaker_refuses"] == 6
    apply(env, manifests(()), {})
    port = simulate(env, "--callers", "10")
    assert port["verdict"] == "refused: no backend" and port["refused"] == 10 and not port["backends"], port
    apply(env, manifests((0, 1, 2)), EVEN)


@test("an explanation names hook, service, subset, table and the backend that the next call then gets")
def translated(env):
    put(env, manifests((0, 1, 2), {**split(90, 10), "matchCallerVersion": True}) + caller_pod(env),
        lambda: service(env)["versions"], "versions matter")
    lives = env.client.popen(*inside(CGROUP, "sleep", "60"))
    try:
        wait_until(lambda: os.readlink(f"/proc/{lives.pid}/ns/net") == f"net:[{env.client.inode}]", 5, "it is in its namespace")
        document = explain(env, "shop/caller")
        (path,) = document["paths"]
        assert document["version"] == "canary" and path["verdict"] == "translated", document
        assert f"see it: it is in {CGROUP}" in steps(document) and "knows it as version canary" in steps(document)
        assert "version canary have backends of their own" in steps(path)
        assert [(b["pod"], b["share"]) for b in path["backends"]] == [("cart-2", 1.0)]
        assert not path["differences"], path
        explain_pid = explain(env, f"pid:{lives.pid}", f"{SERVICE}:80")
        assert explain_pid["version"] == "canary" and explain_pid["paths"][0]["next"] == "10.61.2.2:8080"
    finally:
        lives.kill()
        lives.wait()
    apply(env, manifests((0, 1, 2)), EVEN)
    for _ in range(4):
        (path,) = explain(env, f"pid:{os.getpid()}")["paths"]
        assert call(env, 1) == {path["next"].split(".")[2]: 1}
    shown = env.agent.cfcli("explain", f"cgroup:{CGROUP}", "shop/cart:http").stdout
    assert "translated" in shown and "[svc_slots]" in shown and "cart-1" in shown, shown


@test("an explanation says why nothing is translated: no service, no such port, an address of none, a caller that no hook sees")
def direct(env):
    me = f"pid:{os.getpid()}"
    for target, words in (("shop/none:80", "there is no service shop/none"), ("shop/cart:81", "shop/cart has no port 81"),
                          ("shop/cart:https", "it has 80 (http)"), ("shop/cart:65536", "expected 1 to 65535")):
        done = env.agent.cfcli("explain", me, target)
        assert done.returncode == 1 and words in done.stderr, done
    (path,) = explain(env, me, "192.0.2.1:80")["paths"]
    assert path["verdict"] == "direct" and not path["differences"]
    with cgroup(f"{MOUNT}/{os.path.basename(CGROUP)}-beside") as beside:
        stranger = subprocess.Popen(inside(beside, "sleep", "60"))
        try:
            wait_until(lambda: str(stranger.pid) in open(f"{beside}/cgroup.procs", encoding="ascii").read().split(), 5, "it is there")
            document = explain(env, f"pid:{stranger.pid}")
            assert document["paths"][0]["verdict"] == "not seen" and f"it is in {beside}" in steps(document), document
        finally:
            stranger.kill()
            stranger.wait()
    done = env.agent.cfcli("explain", "shop/nobody", "shop/cart:80")
    assert done.returncode == 1 and "there is no pod shop/nobody" in done.stderr and "pid:NUMBER" in done.stderr, done
    assert env.agent.cfcli("explain", me, "shop/cart").returncode == 1


@test("an explanation says why a call is refused: no backend, the circuit breaker")
def refused(env):
    me = f"pid:{os.getpid()}"
    apply(env, manifests(()), {})
    assert explain(env, me)["paths"][0]["verdict"] == "refused: no backend"
    put(env, manifests((0, 1, 2), {"circuitBreaker": {"maxConnections": 1}}), lambda: service(env)["max_connections"] == 1, "a limit")
    with env.client.socket(kind=1) as sock:
        sock.connect((SERVICE, 80))
        (path,) = explain(env, me)["paths"]
        assert path["verdict"] == "refused: breaker" and "1 of 1 connections are live" in steps(path), path
        done = subprocess.run(env.client.argv("curl", "-sS", "--max-time", "2", f"http://{SERVICE}/"), capture_output=True, check=False)
        assert done.returncode == 7, done
    apply(env, manifests((0, 1, 2)), EVEN)


@test("an explanation says that too many connections are pending, and how one more is refused: as it then is")
def pending(env):
    me = f"pid:{os.getpid()}"
    env.client.ip("neigh", "add", "10.61.1.99", "lladdr", "02:00:00:00:00:99", "dev", "b1")  # where nobody hears a SYN
    breaker = {"maxPendingConnections": 1}
    for refuse, number in (("ECONNREFUSED", errno.ECONNREFUSED), ("EPERM", errno.EPERM)):
        text = manifests((1,), {"circuitBreaker": {**breaker, "refuseWith": refuse}}).replace("10.61.1.2", "10.61.1.99")
        put(env, text, lambda: service(env)["max_pending_connections"] == 1 and shares(env) == {"1": 1.0}, "a limit")
        wait_until(lambda word=refuse: f"one more is refused with {word}" in steps(explain(env, me)["paths"][0]), 5, "it is known")
        assert simulate(env, "--callers", "10")["pending_refuses"] == 9
        with env.client.socket(kind=1) as first, env.client.socket(kind=1) as second:
            first.setblocking(False)
            assert first.connect_ex((SERVICE, 80)) == errno.EINPROGRESS
            (path,) = explain(env, me)["paths"]
            assert path["verdict"] == "refused: pending" and "1 of 1 connections are not established yet" in steps(path), path
            port = simulate(env, "--callers", "10")
            assert port["verdict"] == "refused: pending" and port["refused"] == 10, port
            assert second.connect_ex((SERVICE, 80)) == number
    apply(env, manifests((0, 1, 2)), EVEN)


@test("an explanation says where the kernel's tables are not what the agent means them to be")
def differs(env):
    me = f"pid:{os.getpid()}"
    slot = map_dump(env, "svc_slots")[0]
    pinned = f"{env.place.pins}/svc_slots"
    sh("bpftool", "map", "delete", "pinned", pinned, "key", *octets(slot["key"]))
    (path,) = explain(env, me)["paths"]
    assert any("1 of 3 slots lead elsewhere" in words for words in path["differences"]), path
    sh("bpftool", "map", "update", "pinned", pinned, "key", *octets(slot["key"]), "value", *octets(slot["value"]))
    assert not explain(env, me)["paths"][0]["differences"]
    (frontend,) = map_dump(env, "svc_frontends")
    pinned = f"{env.place.pins}/svc_frontends"
    sh("bpftool", "map", "delete", "pinned", pinned, "key", *octets(frontend["key"]))
    (path,) = explain(env, me)["paths"]
    assert path["verdict"] == "direct" and "the agent means it to" in path["differences"][0], path
    sh("bpftool", "map", "update", "pinned", pinned, "key", *octets(frontend["key"]), "value", *octets(frontend["value"]))
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    with Namespace("elsewhere") as elsewhere:
        assert "cgroup is not known" in steps(explain_pod(env, elsewhere))
    apply(env, manifests((0, 1, 2)), EVEN)


def explain_pod(env, namespace):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "idle", "namespace": "shop",
                                                           "annotations": {"cortexflow.io/netns": namespace.path}}}
    write(env, manifests((0, 1, 2)) + "\n---\n" + json.dumps(pod))
    wait_until(lambda: env.agent.cfcli("explain", "shop/idle", "shop/cart:80").returncode == 0, 5, "the pod is known")
    return explain(env, "shop/idle")
