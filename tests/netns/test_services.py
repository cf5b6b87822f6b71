# SPDX-License-Identifier: Apache-2.0
"""Services from manifests, with real web servers: who is reached, while things change and while the agent is gone."""

import collections
import json
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

from agent import Agent, Place, wait_until
from harness import test
from netns import Namespace, sh, veth

SERVICE = "10.97.0.1"
VERSIONS = ("stable", "stable", "canary")


def server(namespace, address, directory):
    process = namespace.popen(sys.executable, "-m", "http.server", "--bind", address, "--directory", directory, "8080",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        assert process.poll() is None, "the web server ended"
        done = subprocess.run(namespace.argv("curl", "-s", f"http://{address}:8080/"), capture_output=True, check=False)
        return done.returncode == 0

    wait_until(answers, 15, "web server answers")
    return process


def manifests(backends, policy=None):
    documents = [{
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"clusterIP": SERVICE, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }, {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [f"10.61.{i}.2"], "targetRef": {"kind": "Pod", "name": f"cart-{i}"}} for i in backends],
    }]
    for i in backends:
        documents.append({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": f"cart-{i}", "namespace": "shop", "labels": {"version": VERSIONS[i]}}})
    if policy:
        documents.append({"apiVersion": "cortexflow.io/v1alpha1", "kind": "TrafficPolicy",
                          "metadata": {"name": "cart", "namespace": "shop"},
                          "spec": {"targetRefs": [{"kind": "Service", "name": "cart"}], **policy}})
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents)


def split(stable, canary):
    return {"subsets": [{"name": "stable", "labels": {"version": "stable"}, "weight": stable},
                        {"name": "canary", "labels": {"version": "canary"}, "weight": canary}]}


def setup(stack):
    place = stack.enter_context(Place())
    client = stack.enter_context(Namespace("caller"))
    for i in range(len(VERSIONS)):
        backend = stack.enter_context(Namespace(f"backend{i}"))
        veth(client, backend, [f"10.61.{i}.1/24"], [f"10.61.{i}.2/24"], name=f"b{i}")
        directory = place.path(f"www{i}")
        os.mkdir(directory)
        with open(f"{directory}/index.html", "w", encoding="ascii") as page:
            page.write(f"{i}\n")
        process = server(backend, f"10.61.{i}.2", directory)
        stack.callback(process.wait)
        stack.callback(process.kill)
    os.mkdir(place.path("manifests"))
    env = SimpleNamespace(place=place, client=client, agent=None)
    write(env, manifests((0, 1, 2)))
    env.agent = start(env)
    stack.callback(lambda: env.agent.close())
    return env


def start(env, *flags):
    return Agent("--manifests", env.place.path("manifests"), *flags, place=env.place)


def write(env, text):
    """As an editor does: beside, then renamed into place."""
    path = env.place.path("manifests/shop.yaml")
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(text)
    os.rename(path + ".new", path)


def service(env):
    rows = env.agent.get("/v1/services")["services"]
    return next((row for row in rows if row["name"] == "shop/cart"), None)


def shares(env):
    found = service(env)
    return {b["address"].split(".")[2]: round(b["share"], 3) for b in found["backends"]} if found else {}


def apply(env, text, expected):
    write(env, text)
    wait_until(lambda: shares(env) == expected, 5, f"shares are {expected}")


def call(env, times):
    """How many of the callers reached which backend; each has a connection of its own."""
    out = env.client.run("curl", "-sS", "--fail", "--max-time", "5", f"http://{SERVICE}/?[1-{times}]", timeout=60)
    return dict(collections.Counter(line for line in out.split()))


class Calls(threading.Thread):
    """Goes on calling until it is stopped; `failed` has what went wrong."""

    def __init__(self, env):
        super().__init__(daemon=True)
        self.env, self.failed, self.reached, self.on = env, [], collections.Counter(), True
        self.start()

    def run(self):
        while self.on:
            try:
                self.reached.update(call(self.env, 20))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                self.failed.append(str(error))

    def end(self):
        self.on = False
        self.join(90)
        assert not self.failed, self.failed[:3]
        return self.reached


@test("callers of a service's address reach its backends in turn, exactly")
def in_turn(env):
    assert call(env, 90) == {"0": 30, "1": 30, "2": 30}
    row = service(env)
    assert [b["chosen"] for b in row["backends"]] == [30, 30, 30] and row["addresses"] == [f"{SERVICE}:80"], row
    wait_until(lambda: service(env)["active"] == 0, 5, "no connection is live")


@test("a canary is shifted from 90/10 to 0/100 under load: the shares are exact, and no call fails", seconds=60)
def canary(env):
    apply(env, manifests((0, 1, 2), split(90, 10)), {"0": 0.45, "1": 0.45, "2": 0.1})
    assert call(env, 200) == {"0": 90, "1": 90, "2": 20}
    calls = Calls(env)
    for stable, expected in ((50, {"0": 0.25, "1": 0.25, "2": 0.5}), (10, {"0": 0.05, "1": 0.05, "2": 0.9}), (0, {"2": 1.0})):
        apply(env, manifests((0, 1, 2), split(stable, 100 - stable)), expected)
    reached = calls.end()
    assert reached["2"] > 0
    assert call(env, 20) == {"2": 20}
    apply(env, manifests((0, 1, 2)), {"0": 0.333, "1": 0.333, "2": 0.333})


@test("backends come and go under load, and no call fails", seconds=60)
def churn(env):
    calls = Calls(env)
    for backends in ((0, 1), (1,), (1, 2), (0,), (0, 1, 2)) * 3:
        apply(env, manifests(backends), {str(i): round(1 / len(backends), 3) for i in backends})
    assert sum(calls.end().values()) > 0
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}


@test("a caller that is a canary reaches the canary, as its policy says", seconds=30)
def by_version(env):
    caller = {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "caller", "namespace": "shop", "labels": {"version": "canary"},
        "annotations": {"cortexflow.io/netns": env.client.path}}}
    text = manifests((0, 1, 2), {**split(0, 0), "matchCallerVersion": True})
    write(env, text + "\n---\n" + json.dumps(caller))
    wait_until(lambda: call(env, 6) == {"2": 6}, 10, "the canary is reached alone")
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: not service(env)["versions"], 5, "versions don't matter any more")
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}


@test("a document that can't be used is refused with its line; the service stays as it was")
def broken(env):
    write(env, manifests((0, 1, 2)).replace('"port": 80,', '"port": 80000,'))
    refusals = wait_until(lambda: env.agent.get("/v1/services")["refusals"], 5, "a refusal is shown")
    assert "shop.yaml:" in refusals[0] and "port" in refusals[0], refusals
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    listed = env.agent.cfcli("service", "list")
    assert "shop/cart" in listed.stdout and "not used: " in listed.stderr, listed
    apply(env, manifests((0, 1, 2)), {"0": 0.333, "1": 0.333, "2": 0.333})
    wait_until(lambda: not env.agent.get("/v1/services")["refusals"], 5, "the refusal is gone")


@test("a service without backends refuses at once, and says so")
def empty(env):
    apply(env, manifests(()), {})
    done = subprocess.run(env.client.argv("curl", "-sS", "--max-time", "5", f"http://{SERVICE}/"), capture_output=True,
                          text=True, check=False)
    assert done.returncode == 7, done
    assert "no backend is ready" in env.agent.cfcli("service", "describe", "shop/cart").stdout
    apply(env, manifests((0, 1, 2)), {"0": 0.333, "1": 0.333, "2": 0.333})


@test("the agent is killed under load: no call fails, and the next one takes over what is there", seconds=60)
def killed(env):
    before = service(env)
    calls = Calls(env)
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    assert sum(call(env, 9).values()) == 9, "the kernel goes on alone"
    write(env, manifests((0, 1)))  # while nobody looks
    env.agent = start(env)
    assert shares(env) == {"0": 0.5, "1": 0.5}
    assert sum(calls.end().values()) > 0
    after = service(env)
    assert after["number"] == before["number"]
    numbers = {b["address"]: b["number"] for b in before["backends"]}
    assert all(numbers[b["address"]] == b["number"] for b in after["backends"]), (before, after)
    assert call(env, 10) == {"0": 5, "1": 5}


@test("an agent that ends takes its translation along, unless it is told to leave it", seconds=30)
def ends(env):
    env.agent.stop()
    done = subprocess.run(env.client.argv("curl", "-sS", "--max-time", "2", f"http://{SERVICE}/"), capture_output=True, check=False)
    assert done.returncode != 0
    assert not os.path.exists(env.place.pins), os.listdir(env.place.pins)
    env.agent = start(env, "--services-keep-on-exit", "true")
    env.agent.stop()
    assert call(env, 10) == {"0": 5, "1": 5}
    shown = sh("bpftool", "map", "dump", "pinned", f"{env.place.pins}/svc_backends")
    assert '"port": 8080' in shown, shown[:300]
    env.agent = start(env)
    assert call(env, 10) == {"0": 5, "1": 5}
