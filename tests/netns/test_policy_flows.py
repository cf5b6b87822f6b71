# SPDX-License-Identifier: Apache-2.0
"""What policy says is in the flows: refusals when they happen, and the verdict and rule of each connection at its end."""

import contextlib
import json
import os
import signal
import socket

from agent import total, wait_until
from harness import test
from network_policy_world import ADDRESS, ADMIN, DNS, HTTP, World, network_policy, of

CART = {"matchLabels": {"app": "cart"}}
RING_RECORDS = (512 << 10) // (120 + 8)  # CF_POLICY_RING_BYTES, struct cf_policy_event and its header in the ring


def policy(name, **spec):
    return {"apiVersion": "cortexflow.io/v1alpha1", "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": CART, **spec}}


def whom(*namespaces, **operation):
    rule = {"from": [{"source": {"namespaces": list(namespaces)}}]} if namespaces else {}
    return {**rule, **({"to": [{"operation": operation}]} if operation else {})}


def setup(stack):
    return World(stack)


def shown(env, *filters):
    done = env.agent.cfcli("flow", "watch", "--since", "1h", "-o", "json", *map(str, filters))
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["flow"] for line in done.stdout.splitlines()[:-1]]


def flow(env, *filters):
    found = wait_until(lambda: shown(env, *filters), 5, f"a flow {filters}")
    return found[-1]


def records(env, name):
    return total(env.agent.metrics(), f"cortexflow_policy_records_{name}_total")


def events(env, name):
    return total(env.agent.metrics(), "cortexflow_policy_events_total", event=name)


@test("a refused connection is told at once, by the end that refuses, with the verdict, the rule and who it was", seconds=60)
def refused(env):
    env.apply(policy("allow", rules=[whom("shop")]), policy("deny", action="DENY", rules=[whom(ports=[9090])]))
    env.becomes({("web", "cart"): True, ("db", "cart"): False})
    told = flow(env, "--outcome", "denied", "--from", "other/db")
    assert told["policy"] == {"verdict": "not_allowed", "refused": True, "rules": []}, told
    assert (told["direction"], told["transport"], told["local"], told["local_port"]) == ("in", "tcp", ADDRESS["cart"], HTTP), told
    assert told["remote"] == ADDRESS["db"] and told["peer"]["pod"] == "db" and told["workload"]["pod"] == "cart", told
    assert not env.reaches("web", "cart", port=ADMIN)
    told = flow(env, "--outcome", "denied", "--rule", "shop/deny")
    assert told["policy"]["verdict"] == "denied" and told["policy"]["rules"] == ["shop/deny[0]"] and told["local_port"] == 9090
    assert not env.digs("db", "cart")[0]
    told = flow(env, "--protocol", "udp", "--verdict", "refused")
    assert (told["transport"], told["local_port"], told["peer"]["pod"]) == ("udp", DNS, "db"), told
    line = next(line for line in env.agent.cfcli("flow", "watch", "--since", "1h", "--rule", "shop/deny").stdout.splitlines()[1:] if "9090" in line)
    assert " <- " in line and line.split("9090")[1].strip().startswith("denied shop/deny[0]"), line


@test("a connect() that may not go out is told with its process", seconds=40)
def connects(env):
    env.apply(network_policy("none", podSelector=CART, policyTypes=["Egress"]))
    env.becomes({("cart", "web"): False})
    wait_until(lambda: env.curl("cart", "web")[0] == 7, 10, "refused by connect() itself")
    told = flow(env, "--outcome", "denied", "--process", "curl", "--direction", "out")
    assert told["policy"]["verdict"] == "not_in_network" and told["pid"] > 0, told
    assert (told["remote"], told["remote_port"], told["peer"]["pod"], told["local_port"]) == (ADDRESS["web"], HTTP, "web", 0), told


@test("a connection says at its end, and while it is open, what both layers of policy said of it", seconds=40)
def allowed(env):
    env.apply(policy("allow", rules=[whom("shop")]), network_policy("web", podSelector=CART, ingress=[{"from": [of(app="web")]}]))
    env.becomes({("web", "cart"): True, ("db", "cart"): False})
    with env.pods["web"].socket(kind=socket.SOCK_STREAM) as kept:
        kept.connect((ADDRESS["cart"], HTTP))
        kept.sendall(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
        assert kept.recv(1000)
        port = kept.getsockname()[1]
        rules = ["shop/allow[0]", "NetworkPolicy shop/web ingress[0]"]
        done = env.agent.cfcli("flow", "list", "--direction", "in", "--address", f"{ADDRESS['web']}:{port}", "-o", "json")
        listed, = json.loads(done.stdout)["flows"]
        assert listed["outcome"] == "open" and listed["policy"] == {"verdict": "allowed", "refused": False, "rules": rules}, listed
    ended = flow(env, "--direction", "in", "--from", f"{ADDRESS['web']}:{port}")
    assert ended["policy"]["rules"] == rules and ended["attempts"] == 0, ended
    opened = flow(env, "--direction", "out", "--from", f"{ADDRESS['web']}:{port}")
    assert opened["policy"] is None or opened["policy"]["verdict"] == "unselected", opened


@test("audit mode tells of what it would refuse, when it passes and at its end", seconds=40)
def audited(env):
    env.apply(policy("trial", action="DENY", mode="audit", rules=[whom("other")]))
    wait_until(lambda: env.reaches("db", "cart") and env.verdict("would_deny", "in") > 0, 10, "audited")
    told = flow(env, "--outcome", "would_deny", "--rule", "shop/trial*")
    assert told["policy"] == {"verdict": "would_deny", "refused": False, "rules": ["shop/trial[0]"]} and told["peer"]["pod"] == "db", told
    ended = flow(env, "--outcome", "closed", "--direction", "in", "--verdict", "would_deny")
    assert ended["policy"]["rules"] == ["shop/trial[0]"] and ended["bytes_sent"] > 0, ended
    assert not [one for one in shown(env, "--failed") if one["outcome"] == "would_deny"]


@test("a connection that policy cuts is told when its next packet is refused, and its flow knows it too", seconds=60)
def cut(env):
    env.apply(policy("allow", rules=[whom("other")]))
    env.becomes({("db", "cart"): True})
    with env.pods["db"].socket(kind=socket.SOCK_STREAM) as kept:
        kept.connect((ADDRESS["cart"], HTTP))
        source = f"{ADDRESS['db']}:{kept.getsockname()[1]}"
        env.apply(policy("allow", rules=[whom("shop")]))
        env.becomes({("db", "cart"): False, ("web", "cart"): True})
        with contextlib.suppress(OSError):
            kept.sendall(b"GET / HTTP/1.1\r\n")
        told = flow(env, "--outcome", "denied", "--from", source)
        assert told["policy"]["verdict"] == "not_allowed", told
        done = env.agent.cfcli("flow", "list", "--direction", "in", "--from", source, "-o", "json")
        listed, = json.loads(done.stdout)["flows"]
        assert listed["policy"]["refused"], listed


@test("whoever goes on calling is told of once a second; each refusal is told, held back or lost, and counted", seconds=60)
def flood(env):
    env.apply(network_policy("none", podSelector=CART, policyTypes=["Egress"]))
    env.becomes({("cart", "web"): False})
    before = env.verdict("not_in_network", "out")
    told, held, delivered = records(env, "emitted"), events(env, "refusals_held_back"), records(env, "delivered")
    with env.pods["cart"].socket() as made:
        for _ in range(2000):
            with contextlib.suppress(PermissionError):
                made.sendto(b"?", (ADDRESS["web"], DNS))
        refusals = env.verdict("not_in_network", "out") - before
        assert refusals >= 2000, refusals
        accounted = records(env, "emitted") - told + events(env, "refusals_held_back") - held
        assert refusals == accounted, (refusals, accounted)
        assert events(env, "refusals_held_back") - held > 1900
        wait_until(lambda: records(env, "delivered") - delivered == records(env, "emitted") - told, 5, "each came through")
        os.kill(env.agent.process.pid, signal.SIGSTOP)
        try:
            for port in range(1, 2 * RING_RECORDS):
                with contextlib.suppress(PermissionError):
                    made.sendto(b"?", (ADDRESS["web"], port))
        finally:
            os.kill(env.agent.process.pid, signal.SIGCONT)
    wait_until(lambda: records(env, "emitted") == records(env, "delivered") + records(env, "lost"), 10, "the ring is read")
    assert records(env, "lost") > RING_RECORDS / 2, records(env, "lost")
    row, = [one for one in json.loads(env.agent.cfcli("flow", "top", "--once", "--by", "verdict", "-o", "json").stdout)["rows"]
            if one["key"] == "not_in_network"]
    assert row["denied"] > RING_RECORDS / 2, row
    assert total(env.agent.metrics(), "cortexflow_flow_denied_total", outcome="denied") >= row["denied"]


@test("what was refused while no agent ran is told by the next one, which names no rule that it doesn't know", seconds=60)
def told_later(env):
    env.apply(policy("deny", action="DENY", rules=[whom("other")]))
    env.becomes({("db", "cart"): False, ("web", "cart"): True})
    env.kill()
    assert not env.reaches("db", "cart", port=ADMIN)
    with open(env.place.path("manifests/broken.yaml"), "w", encoding="ascii") as file:
        file.write("kind: AuthorizationPolicy\napiVersion: cortexflow.io/v1alpha1\nmetadata: {name: x, namespace: shop}\nspec: 1\n")
    env.start()
    told = flow(env, "--outcome", "denied", "--from", "other/db")
    assert told["policy"] == {"verdict": "denied", "refused": True, "rules": []}, told
    assert records(env, "emitted") == records(env, "delivered") > 0
    os.remove(env.place.path("manifests/broken.yaml"))
    wait_until(lambda: not env.reaches("db", "cart") and
               shown(env, "--outcome", "denied", "--rule", "shop/deny"), 20, "its own rules it knows")


def monitoring(env, *words):
    done = env.agent.cfcli("monitoring", *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return done.stdout


@test("monitoring: what is dropped and why, the veths and whose they are, latencies by where to, and what watches", seconds=60)
def monitored(env):
    env.apply(policy("allow", rules=[whom("shop")]))
    env.becomes({("db", "cart"): False, ("web", "cart"): True})
    drops = json.loads(monitoring(env, "droppedpackets"))["drops"]
    counted = {(row["where"], row["reason"]): row["count"] for row in drops}
    assert counted["policy in", "not_allowed"] == env.verdict("not_allowed", "in") > 0, counted
    assert all(counted.values()) and ("policy in", "allowed") not in counted, counted
    everything = {(row["where"], row["reason"]) for row in json.loads(monitoring(env, "droppedpackets", "-A"))["drops"]}
    assert {("policy out", "denied"), ("services", "refused_empty")} <= everything, everything
    before = {row["name"]: row for row in json.loads(monitoring(env, "veth"))["veths"]}
    assert before["pod1"]["pods"] == ["shop/cart"] and before["pod1"]["up"] and before["pod1"]["peer"] == env.pods["cart"].name, before
    assert before["pod4"]["pods"] == [], before
    assert env.reaches("web", "cart")
    after = {row["name"]: row for row in json.loads(monitoring(env, "veth"))["veths"]}
    for name in ("pod1", "pod2"):
        assert after[name]["sent_bytes"] > before[name]["sent_bytes"] and after[name]["received_bytes"] > before[name]["received_bytes"]
    row = next(row for row in json.loads(monitoring(env, "latencymetrics", "--once"))["rows"] if row["key"] == f"{ADDRESS['cart']}:{HTTP}")
    assert row["p99_connect_ns"] > 0, row
    assert "shop/allow[0]" in monitoring(env, "connections", "--since", "1m", "--direction", "in")
    watched = {row["name"]: row["hook"] for row in json.loads(monitoring(env, "list"))["functions"]}
    assert watched["authorization"] and watched["tcp flows"], watched


@test("a verdict that there isn't is a wrong command line", seconds=20)
def misspelt(env):
    done = env.agent.cfcli("flow", "watch", "--verdict", "not_alowed")
    assert done.returncode == 2 and "not_allowed" in done.stderr, done
