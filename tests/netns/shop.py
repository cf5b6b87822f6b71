# SPDX-License-Identifier: Apache-2.0
"""A service with real web servers in namespaces of their own, and callers of it."""

import collections
import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

from agent import Agent, Place, wait_until
from netns import Namespace, veth

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


def set_up_world(stack):
    """A caller and three web servers, each in a namespace of its own; no agent yet."""
    place = stack.enter_context(Place())
    client = stack.enter_context(Namespace("caller"))
    namespaces, servers = [], []
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
        namespaces.append(backend)
        servers.append(process)
    return SimpleNamespace(place=place, client=client, backends=namespaces, servers=servers, agent=None)


def set_up(stack):
    env = set_up_world(stack)
    os.mkdir(env.place.path("manifests"))
    write(env, manifests((0, 1, 2)))
    env.agent = start(env)
    stack.callback(lambda: env.agent.close())
    return env


def start(env, *flags):
    return Agent("--manifests", env.place.path("manifests"), *flags, place=env.place)


def write(env, text):
    env.place.write("manifests/shop.yaml", text)


def service(env):
    rows = env.agent.get("/v1/services")["services"]
    return next((row for row in rows if row["name"] == "shop/cart"), None)


def shares(env):
    found = service(env)
    return {b["address"].split(".")[2]: round(b["share"], 3) for b in found["backends"] if b["share"]} if found else {}


def apply(env, text, expected):
    write(env, text)
    wait_until(lambda: shares(env) == expected, 5, f"shares are {expected}")


def call(env, times, address=SERVICE):
    """How many of the callers reached which backend; each has a connection of its own."""
    out = env.client.run("curl", "-sS", "--fail", "--max-time", "5", f"http://{address}/?[1-{times}]", timeout=60)
    return dict(collections.Counter(line for line in out.split()))


class Calls(threading.Thread):
    """Goes on calling until it is stopped; `failed` has what went wrong."""

    def __init__(self, env, some_calls=lambda env: call(env, 20)):
        super().__init__(daemon=True)
        self.env, self.some_calls = env, some_calls
        self.failed, self.reached, self.on = [], collections.Counter(), True
        self.start()

    def run(self):
        while self.on:
            try:
                self.reached.update(self.some_calls(self.env))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                self.failed.append(str(error))

    def end(self):
        self.on = False
        self.join(90)
        assert not self.failed, self.failed[:3]
        return self.reached
