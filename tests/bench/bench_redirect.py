# SPDX-License-Identifier: Apache-2.0
"""What it costs to be served by packet (bpf/mesh/redirect): ns a packet in the programs, and a TCP round trip through
veths: without the programs, past them, and through them to a service."""

import contextlib
import json
import os
import subprocess
import tempfile

from agent import BUILD, Agent, Place as AgentPlace
from figures import spread, summary, table
from isolation import MOUNT, remove_cgroup
from netns import PREFIX, Namespace, sh, veth
from place import HERE

SERVICE, BACKEND, PORT = "10.99.0.1", "10.62.2.2", 8080
MANIFEST = [
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "pong", "namespace": "bench"},
     "spec": {"clusterIP": SERVICE, "ports": [{"port": 80, "targetPort": PORT}]}},
    {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
     "metadata": {"name": "pong-1", "namespace": "bench", "labels": {"kubernetes.io/service-name": "pong"}},
     "ports": [{"port": PORT}], "endpoints": [{"addresses": [BACKEND]}]}]


@contextlib.contextmanager
def network():
    """Caller and server, each behind a veth of the router's; the ping-pong program, and a cgroup that none of them is in."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))
        cgroup = os.path.join(MOUNT, f"cfbench-{os.getpid()}")
        os.mkdir(cgroup)
        stack.callback(remove_cgroup, cgroup)
        router, caller, server = (stack.enter_context(Namespace(name)) for name in ("router", "caller", "server"))
        for i, (namespace, name) in enumerate(((caller, "work0"), (server, "back0")), 1):
            veth(router, namespace, [f"10.62.{i}.1/24"], [f"10.62.{i}.2/24"], name=name)
            namespace.ip("route", "add", "default", "via", f"10.62.{i}.1")
        router.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        program = f"{folder}/pingpong"
        sh("cc", "-O2", "-Wall", "-Werror", "-o", program, f"{HERE}/pingpong.c")
        with open(f"{folder}/pong.yaml", "w", encoding="ascii") as file:
            file.write("\n---\n".join(json.dumps(document) for document in MANIFEST))
        process = server.popen(program, PORT)
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield folder, cgroup, router, caller, program


def round_trip(caller, program, address, port, seconds):
    return json.loads(caller.run(program, address, port, seconds, timeout=seconds + 20))["median_us"]


def trips(seconds, turns):
    samples = {"no programs": [], "past the programs": [], "to a service": []}
    with network() as (folder, cgroup, router, caller, program), AgentPlace() as place:
        round_trip(caller, program, BACKEND, PORT, 0.2)  # neighbours and caches
        for _ in range(turns):
            samples["no programs"].append(round_trip(caller, program, BACKEND, PORT, seconds))
            agent = Agent("--manifests", folder, "--services-interfaces", "work*", place=place, cgroup_root=cgroup,
                          prefix=["nsenter", f"--net={router.path}"])
            try:
                samples["past the programs"].append(round_trip(caller, program, BACKEND, PORT, seconds))
                samples["to a service"].append(round_trip(caller, program, SERVICE, 80, seconds))
            finally:
                agent.close()
    return samples


def run(smoke):
    packets = json.loads(subprocess.run([f"{BUILD}/tests/bench/redirect_bench", *(("1000", "1") if smoke else ())],
                                        capture_output=True, text=True, check=True).stdout)
    table("ns a packet by BPF_PROG_TEST_RUN", ["packet", "least", "median"],
          [[name, of["least"], of["median"]] for name, of in packets.items()])
    samples = trips(0.2 if smoke else 1.5, 1 if smoke else 9)
    base = samples["no programs"]
    figures = {name: {"us": summary(values), "ratio": summary([v / b for v, b in zip(values, base)])}
               for name, values in samples.items()}
    table("TCP round trip of one octet through two veths, median us of interleaved slices", ["way", "us", "ratio"],
          [[name, spread(of["us"], 2), spread(of["ratio"])] for name, of in figures.items()])
    return {"packets": packets, "round_trip": figures}
