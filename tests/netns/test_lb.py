# SPDX-License-Identifier: Apache-2.0
"""Weights and drains that an operator sets while real callers call real web servers."""

import collections
import contextlib
import glob
import json
import os
import signal
import socket
import subprocess

from agent import total, wait_until
from harness import test
from isolation import CGROUP, cgroup, inside
from shop import SERVICE, Calls, apply, call, manifests, service, set_up, shares, split, start, write

setup = set_up

EVEN = {"0": 0.333, "1": 0.333, "2": 0.333}
POD2 = "10.61.2.2:8080"


def lb(env, *args, ok=True):
    done = env.agent.cfcli("lb", *args)
    assert (done.returncode == 0) == ok, done
    return done


def backends(env):
    return {b["pod"]: b for b in service(env)["backends"]}


def states(env):
    return {pod: b["state"] for pod, b in backends(env).items()}


@contextlib.contextmanager
def connection(env):
    """A live connection.  `finish` asks for the page on it, and answers which backend's it was."""
    with env.client.socket(kind=socket.SOCK_STREAM) as sock:
        sock.connect((SERVICE, 80))
        assert sock.getpeername() == (SERVICE, 80)

        def finish():
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: sock.recv(4096), b"")).split()[-1].decode()

        yield finish


@test("weights are shifted from 90/10 to 0/100 by an operator under load: the shares are exact, and no call fails", seconds=60)
def shift(env):
    apply(env, manifests((0, 1, 2), split(90, 10)), {"0": 0.45, "1": 0.45, "2": 0.1})
    calls = Calls(env)
    for stable, canary, expected in ((90, 10, {"0": 0.45, "1": 0.45, "2": 0.1}), (50, 50, {"0": 0.25, "1": 0.25, "2": 0.5}),
                                     (10, 90, {"0": 0.05, "1": 0.05, "2": 0.9}), (0, 100, {"2": 1.0})):
        lb(env, "set-weight", "shop/cart", "stable", str(stable), "canary", str(canary))
        assert shares(env) == expected, "what is said to be done stands"
    assert calls.end()["2"] > 0
    assert call(env, 20) == {"2": 20}
    lb(env, "set-weight", "shop/cart", "stable", "75", "canary", "25")
    assert call(env, 80) == {"0": 30, "1": 30, "2": 20}
    samples = env.agent.metrics()
    assert total(samples, "cortexflow_service_overrides") == 1 and total(samples, "cortexflow_service_overrides_max") == 4096
    shown = lb(env, "list").stdout
    assert "stable=75*" in shown and "canary=25*" in shown and "set by an operator" in shown, shown
    subsets = {s["name"]: (s["weight"], s["manifest_weight"], s["weight_set"]) for s in service(env)["subsets"]}
    assert subsets == {"stable": (75, 90, True), "canary": (25, 10, True)}, subsets
    lb(env, "reset", "shop/cart")
    assert call(env, 100) == {"0": 45, "1": 45, "2": 10}
    assert "*" not in lb(env, "list").stdout
    apply(env, manifests((0, 1, 2)), EVEN)


@test("a backend is given a weight by its address or its pod's name")
def backend_weight(env):
    lb(env, "set-weight", "shop/cart", POD2, "4", "cart-0", "0")
    assert call(env, 50) == {"1": 10, "2": 40}
    assert states(env) == {"cart-0": "no weight", "cart-1": "ready", "cart-2": "ready"}
    assert backends(env)["cart-2"]["weight"] == 4 and backends(env)["cart-2"]["weight_set"]
    lb(env, "reset", "shop/cart")
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}


@test("what can't be is refused, with the cause, and changes nothing")
def refused(env):
    for args, words in ((("set-weight", "shop/cart", "nobody", "1"), "no subset and no backend nobody"),
                        (("set-weight", "shop/none", "stable", "1"), "there is no service shop/none"),
                        (("set-weight", "shop/cart", POD2, "1001"), "expected 0 to 1000"),
                        (("set-weight", "shop/cart", POD2, "many"), "expected a number"),
                        (("drain", "shop/cart", "10.61.9.9"), "no backend 10.61.9.9"),
                        (("reset", "shop/none"), "there is no service shop/none")):
        done = lb(env, *args, ok=False)
        assert words in done.stderr and done.returncode == 1, done
    assert lb(env, "set-weight", "shop/cart", POD2, ok=False).returncode == 2
    apply(env, manifests((0, 1, 2), split(90, 10)), {"0": 0.45, "1": 0.45, "2": 0.1})
    assert "would be 0" in lb(env, "set-weight", "shop/cart", "stable", "0", "canary", "0", ok=False).stderr
    assert shares(env) == {"0": 0.45, "1": 0.45, "2": 0.1}
    apply(env, manifests((0, 1, 2)), EVEN)


@test("a drained backend keeps its connections and gets no new ones, until it is undrained", seconds=40)
def drain(env):
    def busy():
        return [pod for pod, b in backends(env).items() if b["active"]]

    with connection(env) as finish:
        (pod,) = busy()
        number = backends(env)[pod]["number"]
        lb(env, "drain", "shop/cart", pod)
        assert states(env)[pod] == "drained"
        reached = call(env, 40)
        assert pod[-1] not in reached and sum(reached.values()) == 40, reached
        assert backends(env)[pod]["active"] == 1 and backends(env)[pod]["number"] == number
        waiting = subprocess.Popen([*env.agent.cfcli_argv("lb", "drain", "shop/cart", pod, "--wait")], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert waiting.stderr.readline() == "1 live connections\n"
        assert waiting.poll() is None
        assert finish() == pod[-1], "the connection that it has goes on"
    out, err = waiting.communicate(timeout=10)
    assert waiting.returncode == 0 and err == "0 live connections\n" and "drained" in out, (out, err)
    lb(env, "undrain", "shop/cart", pod)
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    assert set(states(env).values()) == {"ready"}


@test("a backend that is given no weight keeps its connections, its count and its number", seconds=40)
def no_weight(env):
    with connection(env) as finish:
        (pod,) = [pod for pod, b in backends(env).items() if b["active"]]
        had = backends(env)[pod]
        lb(env, "set-weight", "shop/cart", pod, "0")
        assert pod[-1] not in call(env, 20) and states(env)[pod] == "no weight"
        now = backends(env)[pod]
        assert [now[key] for key in ("active", "chosen", "number")] == [had[key] for key in ("active", "chosen", "number")], now
        available = total(env.agent.metrics(), "cortexflow_backends", state="available")
        assert available == 2, available
        waiting = subprocess.Popen([*env.agent.cfcli_argv("lb", "drain", "shop/cart", pod, "--wait")], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert waiting.stderr.readline() == "1 live connections\n" and waiting.poll() is None
        lb(env, "reset", "shop/cart")
        assert backends(env)[pod]["active"] == 1 and backends(env)[pod]["number"] == had["number"]
        assert finish() == pod[-1]
    waiting.communicate(timeout=10)
    assert waiting.returncode == 0
    lb(env, "undrain", "shop/cart", pod)
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}


@test("a client with affinity leaves a drained backend with its next connection")
def affinity(env):
    sticky = manifests((0, 1, 2)).replace('"clusterIP"', '"sessionAffinity": "ClientIP", "clusterIP"')
    write(env, sticky)
    wait_until(lambda: service(env)["affinity_seconds"] > 0, 5, "affinity is on")
    (mine,) = call(env, 5)
    lb(env, "drain", "shop/cart", f"cart-{mine}")
    (other,) = call(env, 5)
    assert other != mine
    lb(env, "undrain", "shop/cart", f"cart-{mine}")
    apply(env, manifests((0, 1, 2)), EVEN)
    wait_until(lambda: service(env)["affinity_seconds"] == 0, 5, "affinity is off")


@test("weights and drains are there again after the agent was killed, and its count of live connections too", seconds=40)
def survives(env):
    apply(env, manifests((0, 1, 2), split(90, 10)), {"0": 0.45, "1": 0.45, "2": 0.1})
    lb(env, "set-weight", "shop/cart", "stable", "50", "canary", "50")
    with connection(env) as finish:
        pod = next(pod for pod, b in backends(env).items() if b["active"])
        lb(env, "drain", "shop/cart", pod)
        before = shares(env)
        calls = Calls(env)
        env.agent.signal(signal.SIGKILL)
        env.agent.process.wait(5)
        env.agent = start(env)
        calls.end()
        assert shares(env) == before
        assert states(env)[pod] == "drained" and backends(env)[pod]["active"] == 1
        assert finish() == pod[-1]
    wait_until(lambda: backends(env)[pod]["active"] == 0, 5, "the connection's end is counted")
    lb(env, "undrain", "shop/cart", pod)
    lb(env, "reset", "shop/cart")
    assert shares(env) == {"0": 0.45, "1": 0.45, "2": 0.1}
    apply(env, manifests((0, 1, 2)), EVEN)


@test("callers of a version don't disturb the shares of the others, whatever the order in which they call", seconds=40)
def own_turns(env):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tester", "namespace": "shop", "labels": {"version": "canary"},
                                                           "annotations": {"cortexflow.io/cgroup": "/tester"}}}
    with cgroup(f"{CGROUP}/tester") as place:
        write(env, manifests((0, 1, 2), {**split(90, 10), "matchCallerVersion": True}) + "\n---\n" + json.dumps(pod))
        wait_until(lambda: service(env)["versions"] == ["canary", "stable"], 5, "versions matter")
        reached = collections.Counter()
        for _ in range(40):  # in turn: a canary, another
            assert env.client.run(*inside(place, "curl", "-sS", "--fail", f"http://{SERVICE}/")) == "2\n"
            reached.update(call(env, 1))
        assert reached == {"0": 18, "1": 18, "2": 4}, reached
    apply(env, manifests((0, 1, 2)), EVEN)


@test("a setting whose backend or subset has gone is dropped, and said")
def gone(env):
    apply(env, manifests((0, 1, 2), split(90, 10)), {"0": 0.45, "1": 0.45, "2": 0.1})
    lb(env, "set-weight", "shop/cart", "canary", "0", "cart-1", "3")
    lb(env, "drain", "shop/cart", "cart-2")
    apply(env, manifests((0,)), {"0": 1.0})
    said = " ".join(env.agent.get("/v1/services")["refusals"])
    for words in ("weight 0 of canary", "weight 3 of 10.61.1.2:8080", f"drain of {POD2}"):
        assert f"{words} is dropped" in said, said
    apply(env, manifests((0, 1, 2)), EVEN)

    def kept():
        with open(env.place.path("state/overrides.json"), encoding="ascii") as file:
            return json.load(file)["services"]

    wait_until(lambda: kept() == {}, 5, "the file follows")


def waits_in_open(agent):
    """A thread of the agent opens a FIFO that nobody reads."""
    for path in glob.glob(f"/proc/{agent.pid}/task/*/wchan"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            if file.read() in ("wait_for_partner", "fifo_open"):
                return True
    return False


@test("a disk that stands still holds up who drains a backend, and nobody else; what is not on disk does not stand", seconds=40)
def slow_disk(env):
    beside = env.place.path("state/overrides.json.new")
    os.mkfifo(beside)  # to open it takes until somebody reads, as a disk may take for ever
    try:
        with subprocess.Popen(env.agent.cfcli_argv("lb", "drain", "shop/cart", "cart-2"), stderr=subprocess.PIPE, text=True) as drains:
            wait_until(lambda: waits_in_open(env.agent), 5, "the disk stands still")
            assert shares(env) == EVEN and call(env, 9) == {"0": 3, "1": 3, "2": 3}
            apply(env, manifests((0,)), {"0": 1.0})
            apply(env, manifests((0, 1, 2)), EVEN)
            assert total(env.agent.metrics(), "cortexflow_service_overrides") == 0
            assert drains.poll() is None, drains.communicate()
            with open(os.open(beside, os.O_RDONLY | os.O_NONBLOCK)):
                assert drains.wait(10) == 1 and "overrides.json.new" in drains.stderr.read()
    finally:
        os.unlink(beside)
    assert shares(env) == EVEN
    lb(env, "drain", "shop/cart", "cart-2")
    assert states(env)["cart-2"] == "drained"
    lb(env, "undrain", "shop/cart", f"[::ffff:{POD2.split(':')[0]}]:8080")
    assert shares(env) == EVEN


@test("a file of settings that can't be understood is put aside, and said; services go on", seconds=30)
def broken_file(env):
    env.agent.stop()
    path = env.place.path("state/overrides.json")
    with open(path, "w", encoding="ascii") as file:
        file.write('{"version": 1, "services": {"shop/cart": {"drained": ["nowhere"]}}}')
    env.agent = start(env)
    assert "shop/cart: drained: expected ADDRESS:PORT" in env.agent.log()
    assert os.path.exists(path + ".broken") and not os.path.exists(path)
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
