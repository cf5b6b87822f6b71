# SPDX-License-Identifier: Apache-2.0
"""The agent is killed and replaced while wrk and iperf3 are at work: through a service's address, and through the edge."""

import contextlib
import json
import os
import signal
import sys
import threading

from agent import wait_until
from edge_world import FRONT, HERE, Edge, World
from harness import test
from load import Iperf, Wrk, wait_for_load
from netns import sh
from shop import SERVICE, call, manifests, service, set_up, shares, start, write

setup = set_up
IPERF = "10.97.0.2"
TABLES = ("svc_frontends", "svc_services", "svc_slots", "svc_backends", "svc_load_be")


def documents_of(name, address, ports, backends, **more):
    """A service, and its slice."""
    documents = [{
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": address, "ports": [{"name": n, "protocol": p, "port": number} for n, p, number in ports],
                 **({"type": "LoadBalancer"} if more else {})}, **more,
    }, {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": f"{name}-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": n, "protocol": p, "port": number} for n, p, number in ports],
        "endpoints": [{"addresses": [backend]} for backend in backends],
    }]
    return "".join("\n---\n" + json.dumps(document) for document in documents)


def iperf_service(backend, **more):
    """Of one backend: iperf3 needs all its connections to come to one server."""
    return documents_of("iperf", IPERF, [("tcp", "TCP", 5201), ("udp", "UDP", 5202), ("udp-control", "TCP", 5202)], [backend], **more)


def pinned(place, name):
    return json.loads(sh("bpftool", "-j", "map", "show", "pinned", f"{place.pins}/{name}"))["id"]


class Watched(threading.Thread):
    """Looks again and again whether all tables have what they are to have."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.place, self.on, self.looks = place, True, 0
        self.least = {name: self.entries(name) for name in TABLES}
        self.start()

    def entries(self, name):
        return len(json.loads(sh("bpftool", "-j", "map", "dump", "pinned", f"{self.place.pins}/{name}")))

    def run(self):
        while self.on:
            for name in TABLES:
                self.least[name] = min(self.least[name], self.entries(name))
            self.looks += 1

    def end(self):
        self.on = False
        self.join(20)
        assert self.looks > 2, self.looks
        return self.least


@test("the agent is killed and replaced under wrk and iperf3: nothing fails, and its tables stand all the time", seconds=90)
def by_service(env):
    text = iperf_service("10.61.0.2")
    write(env, manifests((0, 1, 2)) + text)
    with contextlib.ExitStack() as stack:
        wrk = Wrk(env.client, f"http://{SERVICE}/")
        stack.callback(wrk.close)
        streams = []
        while not streams:  # once the service is there
            with contextlib.suppress(StopIteration):
                next(row for row in env.agent.get("/v1/services")["services"] if row["name"] == "shop/iperf" and row["backends"])
                for port, flags in ((5201, ()), (5202, ("--udp",))):
                    streams.append(Iperf(env.client, env.backends[0], "10.61.0.2", IPERF, port, *flags))
                    stack.callback(streams[-1].close)
        wait_for_load(env.backends, "before")
        ids = {name: pinned(env.place, name) for name in os.listdir(env.place.pins) if name.startswith("svc_") and not name.endswith("_link")}
        chosen = {b["address"]: b["chosen"] for b in service(env)["backends"]}
        watched = Watched(env.place)
        sizes = dict(watched.least)
        for _ in range(2):
            env.agent.signal(signal.SIGKILL)
            env.agent.process.wait(5)
            wait_for_load(env.backends, "while no agent runs")
            env.agent = start(env)
            wait_for_load(env.backends, "with the next agent")
        assert watched.end() == sizes, "a table had fewer entries for a while"
        assert {name: pinned(env.place, name) for name in ids} == ids, "the tables are others"
        assert all(b["chosen"] > chosen[b["address"]] for b in service(env)["backends"]), "the counts began anew"
        for stream in streams:
            stream.end()
        assert wrk.end() > 100
    write(env, manifests((0, 1, 2)))
    assert shares(env) == {"0": 0.333, "1": 0.333, "2": 0.333} and sum(call(env, 9).values()) == 9


class LoadEdge(Edge):
    """With services for iperf3 and wrk at the load balancer's address."""

    def _write(self, text):
        outside = {"status": {"loadBalancer": {"ingress": [{"ip": FRONT}]}}}
        backends = ["10.8.1.2", "10.8.2.2"]
        super()._write(text + iperf_service(backends[0], **outside) + documents_of("kept", "10.97.0.3", [("http", "TCP", 8090)], backends, **outside))


@test("the same through the edge: wrk and iperf3 from another machine see nothing of it", seconds=120)
def by_edge(_):
    with contextlib.ExitStack() as stack:
        world = World(stack)
        for n, backend in world.backends.items():
            world.place.path(f"www{n}/status", "200")
            web = backend.popen(sys.executable, f"{HERE}/webserver.py", f"10.8.{n}.2", n, world.place.path(f"www{n}"), 8090)
            stack.callback(web.wait)
            stack.callback(web.kill)
        edge = stack.enter_context(LoadEdge(world))
        edge.serve()
        for n in (1, 2):
            wait_until(lambda u=f"http://10.8.{n}.2:8090/": world.curl(u) is not None, 10, "a web server answers")
        # On standing connections: the ports of a translating edge are too few for thousands of short ones a second.
        wrk = Wrk(world.client, f"http://{FRONT}:8090/", connections=16)
        stack.callback(wrk.close)
        streams = []
        for port, flags in ((5201, ()), (5202, ("--udp",))):
            streams.append(Iperf(world.client, world.backends[1], "10.8.1.2", FRONT, port, *flags))
            stack.callback(streams[-1].close)
        backends = list(world.backends.values())
        wait_for_load(backends, "before")
        before = edge.verdicts()["translated"]
        tables = {name: pinned(edge.place, name) for name in os.listdir(edge.place.pins)
                  if name.startswith("edge_") and "link" not in name and not name.startswith("edge_if")}
        assert tables, os.listdir(edge.place.pins)
        for _ in range(2):
            edge.kill()
            wait_for_load(backends, "while no agent runs")
            edge.start()
            wait_for_load(backends, "with the next agent")
        assert edge.verdicts()["translated"] > before, "the counters began anew"
        assert {name: pinned(edge.place, name) for name in tables} == tables, "the tables are others"
        for stream in streams:
            stream.end()
        assert wrk.end() > 100
