# SPDX-License-Identifier: Apache-2.0
"""The agent is killed and replaced while wrk and iperf3 are at work: through a service's address, and through the edge."""

import contextlib
import json
import os
import signal
import threading

from harness import test
from load import Iperf, Wrk, wait_for_load
from netns import sh
from shop import SERVICE, call, manifests, service, set_up, shares, start, write
from test_edge import FRONT, Edge, World

setup = set_up
IPERF = "10.97.0.2"
TABLES = ("svc_frontends", "svc_services", "svc_slots", "svc_backends", "svc_load_be")


def iperf_service(backend, **spec):
    """Of one backend: iperf3 needs its connections to come to one server."""
    ports = [("tcp", "TCP", 5201), ("udp", "UDP", 5202), ("udp-control", "TCP", 5202)]
    documents = [{
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "iperf", "namespace": "shop"},
        "spec": {"clusterIP": IPERF, "ports": [{"name": n, "protocol": p, "port": number} for n, p, number in ports], **spec.get("spec", {})},
        **({"status": spec["status"]} if "status" in spec else {}),
    }, {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "iperf-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "iperf"}},
        "ports": [{"name": n, "protocol": p, "port": number} for n, p, number in ports],
        "endpoints": [{"addresses": [backend]}],
    }]
    return "\n---\n" + "\n---\n".join(json.dumps(document) for document in documents)


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
    """With a service for iperf3 at the load balancer's address."""

    def _write(self, text):
        status = {"loadBalancer": {"ingress": [{"ip": FRONT}]}}
        super()._write(text + iperf_service("10.8.1.2", spec={"type": "LoadBalancer"}, status=status))


@test("the same through the edge: wrk and iperf3 from another machine see nothing of it", seconds=120)
def by_edge(_):
    with contextlib.ExitStack() as stack:
        world = World(stack)
        edge = stack.enter_context(LoadEdge(world))
        edge.serve()
        wrk = Wrk(world.client, f"http://{FRONT}/who")
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
