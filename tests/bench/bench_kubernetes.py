# SPDX-License-Identifier: Apache-2.0
"""Services and endpoints from a real API server: time to ready, memory, a change's way into the kernel, CPU and octets under changes.

A change is an EndpointSlice that is patched.  The floor of its way is a bare watch, which does nothing with the event: what the
agent adds is when the first datagram arrives at the new endpoint, less when the bare watch had the event.  Ready is /readyz.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "cluster"))

from agent import Place as AgentPlace, total, wait_until  # noqa: E402  the path above leads to them
from api_world import PORT, TARGET_PORT, ApiWorld  # noqa: E402
from figures import table  # noqa: E402
from netns import bound_to_us  # noqa: E402
from place import Place, cpu_seconds, map_kib, resident_kib  # noqa: E402

ENDPOINTS = 10  # of each service
CHANGES_A_SECOND = 50
BACKENDS = ("10.98.0.1", "10.98.0.2")  # of s0, in the lab


def addresses_of(number):
    if number == 0:
        return BACKENDS[:1]
    return [f"10.{128 + number // 6000}.{number % 6000 * ENDPOINTS // 240}.{1 + (number % 24) * ENDPOINTS + i}" for i in range(ENDPOINTS)]


def percentile(values, of):
    return statistics.quantiles(values, n=100, method="inclusive")[of - 1] if len(values) > 1 else values[0]


def start(world, place, agent_place):
    began = time.monotonic()
    agent = world.lab.agent(agent_place, "--log-level", "warn", cgroup_root=place.cgroup)
    try:
        wait_until(agent.ready, 120, "the agent has read all of the API server's objects")
    except BaseException:
        agent.close()
        raise
    return agent, {"ready": time.monotonic() - began, "ready_cpu": cpu_seconds(agent.pid), "rss": resident_kib(agent.pid)["VmRSS"],
                   "maps": sum(map_kib(agent).values()), "octets": total(agent.metrics(), "cortexflow_kubernetes_received_bytes_total")}


def latencies(world, place, times):
    """Milliseconds: from the request to the bare watch, and from there to the kernel."""
    argv = ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', place.cgroup, *world.lab.namespace.argv(
        sys.executable, os.path.join(HERE, "arrival.py"), world.address("s0"), PORT, TARGET_PORT, *BACKENDS)]
    watch, told, added = world.watch("s0"), [], []
    with subprocess.Popen(bound_to_us(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as arrival:
        try:
            for turn in range(times):
                to = (turn + 1) % 2
                assert arrival.stdout.readline() == "ready\n", "arrival.py has ended"
                arrival.stdin.write(f"{to}\n")
                asked = time.monotonic()
                version = world.connection.move("s0", [BACKENDS[to]])["metadata"]["resourceVersion"]
                came, heard = float(arrival.stdout.readline()), watch.time_of(version)
                told.append((heard - asked) * 1e3)
                added.append((came - heard) * 1e3)
        finally:
            arrival.kill()
    return told, added


def under_changes(world, agent, services, seconds):
    """A second: CPU seconds, octets from the API server, and changes, each of another service's slice."""
    def octets():
        return total(agent.metrics(), "cortexflow_kubernetes_received_bytes_total")

    count = int(seconds * CHANGES_A_SECOND)
    before, cpu, began = octets(), cpu_seconds(agent.pid), time.monotonic()
    for i in range(count):
        number = 1 + i % (services - 1)
        world.connection.move(f"s{number}", [*addresses_of(number)[:-1], f"10.250.{i // 250}.{1 + i % 250}"])
        time.sleep(max(0, began + (i + 1) / CHANGES_A_SECOND - time.monotonic()))
    took = time.monotonic() - began
    return {"cpu": (cpu_seconds(agent.pid) - cpu) / took, "octets": (octets() - before) / took, "rate": count / took}


def measure(stack, place, services, times, seconds):
    world = ApiWorld(stack, services, addresses_of)
    for address in BACKENDS:
        world.lab.namespace.ip("address", "add", f"{address}/32", "dev", "lo")
    agent_place = stack.enter_context(AgentPlace())
    agent, row = start(world, place, agent_place)
    with agent:
        row["told"], row["added"] = latencies(world, place, times)
        row["changes"] = under_changes(world, agent, services, seconds)
        row["rss_after"] = resident_kib(agent.pid)["VmRSS"]
    return {"services": services, "endpoints": (services - 1) * ENDPOINTS + 1, **row}


def run(smoke):
    sizes, times, seconds = ((50,), 4, 1) if smoke else ((100, 5000), 300, 20)
    rows = []
    with Place(smoke) as place:
        for services in sizes:
            with contextlib.ExitStack() as stack:
                rows.append(measure(stack, place, services, times, seconds))
    table("Services and endpoints from an API server", ["services", "endpoints", "ready s", "CPU s", "octets read", "RSS KiB", "maps KiB", "RSS after"],
          [[f"{r['services']:,}", f"{r['endpoints']:,}", f"{r['ready']:.2f}", f"{r['ready_cpu']:.2f}", f"{r['octets']:,.0f}", f"{r['rss']:,}", f"{r['maps']:,.0f}",
            f"{r['rss_after']:,}"] for r in rows])
    table(f"A change's way, milliseconds; and what {CHANGES_A_SECOND} changes a second take",
          ["services", "request to bare watch p50", "p99", "watch to kernel p50", "p99", "changes/s", "CPU", "octets/s"],
          [[f"{r['services']:,}", *(f"{percentile(r[way], of):.2f}" for way in ("told", "added") for of in (50, 99)), f"{r['changes']['rate']:.0f}",
            f"{r['changes']['cpu']:.1%}", f"{r['changes']['octets']:,.0f}"] for r in rows])
    return rows
