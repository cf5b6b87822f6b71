# SPDX-License-Identifier: Apache-2.0
"""Very many services and endpoints from files: time to ready, memory, a change's way into the kernel, CPU under changes.

A file for each service and its endpoints.  Ready is when the control API answers: the tables are written by then.  A change
is a file renamed into place with another endpoint in it; it has arrived when a connection does, at that endpoint.
"""

import ipaddress
import os
import time

from figures import spread, summary, table
from place import cpu_seconds, map_kib, resident_kib
from service_manifests import PORT, TARGET_PORT, address_of, put, text, write_services
from service_place import ServicePlace

ENDPOINTS = 10  # of each service
READY_MAX_S = 2  # more than with none
CHANGE_MAX_S = 0.01
ENDPOINT_MAX_KIB = 1
AGENT_MAX_KIB = 40 * 1024  # with AGENT_SERVICES
AGENT_SERVICES = 1000
CHANGES_A_SECOND = 100


def endpoints_of(number):
    first = ipaddress.IPv4Address("10.128.0.1") + number * ENDPOINTS
    return [str(first + i) for i in range(ENDPOINTS)]


def memory(agent):
    maps = map_kib(agent)
    return {"rss": resident_kib(agent.pid)["VmRSS"], "maps": sum(maps.values()), "service_maps": sum(v for k, v in maps.items() if k.startswith("svc_"))}


def started(place, directory, cgroup):
    began = time.monotonic()
    agent = place.new_agent(cgroup, directory)
    return agent, {"ready": time.monotonic() - began, "ready_cpu": cpu_seconds(agent.pid), **memory(agent)}


def change_latency(place, caller, number, cgroup, directory, times):
    """Of the first service, whose one endpoint goes to and fro between the backend's two addresses."""
    ways = [f"10.62.{number}.{1 + 2 * (i % 2)}" for i in range(2 * times)]  # it ends where it began
    files = []
    for i, way in enumerate(ways):
        put(place.dir, f"next{i}", text("s0", address_of(0), [way]))
        files.append((os.path.join(place.dir, f"next{i}"), way))
    return place.change(("change", caller, cgroup, address_of(0), 1, PORT), TARGET_PORT, os.path.join(directory, "s0.yaml"), files)


def change_cpu(agent, directory, services, seconds):
    """CPU seconds a second while as many files a second change as CHANGES_A_SECOND, and how many did."""
    texts = []
    for i in range(int(seconds * CHANGES_A_SECOND)):
        number = 1 + i % (services - 1)
        texts.append((f"s{number}.yaml", text(f"s{number}", address_of(number), [*endpoints_of(number)[:-1], f"10.63.{i // 250}.{1 + i % 250}"])))
    began, before = time.monotonic(), cpu_seconds(agent.pid)
    for i, (name, content) in enumerate(texts):
        put(directory, name, content)
        time.sleep(max(0, began + (i + 1) / CHANGES_A_SECOND - time.monotonic()))
    return {"cpu": (cpu_seconds(agent.pid) - before) / (time.monotonic() - began), "rate": len(texts) / (time.monotonic() - began)}


def scrape_cpu(agent, times):
    """CPU seconds of one scrape of the metrics."""
    agent.metrics()
    before = cpu_seconds(agent.pid)
    for _ in range(times):
        agent.metrics()
    return (cpu_seconds(agent.pid) - before) / times


def measure(place, caller, number, services, times, seconds):
    directory = os.path.join(place.dir, f"services{services}")
    write_services(directory, services, lambda i: endpoints_of(i) if i else [f"10.62.{number}.3"])
    cgroup = place.cgroup(f"agent{services}")
    agent, row = started(place, directory, cgroup)
    with agent:
        row["scrape_cpu"] = scrape_cpu(agent, times)
        row["change"] = summary(change_latency(place, caller, number, cgroup, directory, times))
        row["changes"] = change_cpu(agent, directory, services, seconds)
        again = change_latency(place, caller, number, cgroup, directory, 3)  # nothing is left undone behind the changes
        row["change_after"], row["rss_after"] = summary(again), memory(agent)["rss"]
    return {"services": services, "endpoints": services * ENDPOINTS, **row}


def run(smoke):
    sizes, times, seconds = ((20, 100), 3, 0.5) if smoke else ((AGENT_SERVICES, 10000), 20, 10)
    with ServicePlace(smoke) as place:
        caller, number = place.caller()
        empty = os.path.join(place.dir, "empty")
        os.mkdir(empty)
        agent, none = started(place, empty, place.cgroup("empty"))
        agent.close()
        rows = [measure(place, caller, number, services, times, seconds) for services in sizes]
    table("Services and endpoints from files, one a service; an agent with no service first",
          ["services", "endpoints", "ready s", "CPU s", "RSS KiB", "all maps KiB", "service maps KiB", "CPU ms a scrape", "a change ms", f"CPU at {CHANGES_A_SECOND} changes/s", "RSS after"],
          [[0, 0, f"{none['ready']:.2f}", f"{none['ready_cpu']:.2f}", f"{none['rss']:,}", f"{none['maps']:,.0f}", f"{none['service_maps']:,.0f}", "", "", "", ""],
           *([f"{r['services']:,}", f"{r['endpoints']:,}", f"{r['ready']:.2f}", f"{r['ready_cpu']:.2f}", f"{r['rss']:,}", f"{r['maps']:,.0f}", f"{r['service_maps']:,.0f}", f"{r['scrape_cpu'] * 1e3:.1f}",
              spread({k: v * 1e3 for k, v in r["change"].items()}, 2), f"{r['changes']['cpu']:.1%} ({r['changes']['rate']:.0f}/s)", f"{r['rss_after']:,}"] for r in rows)])
    few, many = rows
    each = (many["rss"] + many["maps"] - few["rss"] - few["maps"]) / (many["endpoints"] - few["endpoints"])
    met = {"ready": many["ready"] - none["ready"] <= READY_MAX_S, "change": many["change"]["median"] <= CHANGE_MAX_S,
           "endpoint": each <= ENDPOINT_MAX_KIB, "agent": few["rss"] <= AGENT_MAX_KIB}
    said = {key: "met" if value else "NOT met" for key, value in met.items()}
    print(f"  budgets: ready within {READY_MAX_S} s of an agent with none: {said['ready']} ({many['ready'] - none['ready']:.2f}; CPU {many['ready_cpu'] - none['ready_cpu']:.2f} s); "
          f"a change within {CHANGE_MAX_S * 1e3:.0f} ms: {said['change']}; each further endpoint {each * 1024:.0f} octets, maps and its share of its service "
          f"included, at most {ENDPOINT_MAX_KIB * 1024}: {said['endpoint']}; agent's RSS with {few['services']:,} services at most {AGENT_MAX_KIB:,} KiB: {said['agent']}")
    return {"none": none, "rows": rows, "endpoint_kib": each, "met": met}
