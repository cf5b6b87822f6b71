# SPDX-License-Identifier: Apache-2.0
"""What tracing takes from lookups: off, floor, on, on, floor, off, again and again, against a resolver on the same machine.

Off: the agent is not running and nothing is attached.  Floor: programs that do nothing hang where the agent's would, which
is what any tracer on these hooks costs at least.  Client and resolver are both traced, and share the machine's
CPUs with the agent, so queries a second also pay for what the agent does.  Each has its CPU: left to the scheduler, a
lookup takes 10 times as long when it wakes the other CPU as when it doesn't, and that is all that one would see.
"""

import agent as agents
import dnsperf
from empty_programs import EmptyPrograms
from fast_unbound import ADDRESS, FastUnbound
from figures import spread, summary, table
from place import Place, bpftool, cpu_seconds

QPS_MIN = 0.98
LATENCY_MAX = 1.02


def measure(place, unbound, queries, seconds, agent):
    agent_cpu = cpu_seconds(agent.pid) if agent else 0
    resolver_cpu = unbound.cpu_seconds()
    full = dnsperf.run(place, queries, seconds)
    if agent:
        agent.balance()
        agent_cpu = cpu_seconds(agent.pid) - agent_cpu
    resolver_cpu = unbound.cpu_seconds() - resolver_cpu
    apart, beside = (place.ask(cpu, ADDRESS, seconds / 3) for cpu in (place.client_cpu, place.server_cpu))
    return {"qps": full["qps"], "cpu_us": 1e6 * (full["cpu_seconds"] + resolver_cpu) / full["completed"],
            "agent_us": 1e6 * agent_cpu / full["completed"], "p50": apart["p50"], "p90": apart["p90"], "p99": apart["p99"], "same_p50": beside["p50"]}


def slices(place, unbound, queries, seconds, count, agent=None):
    out = []
    for _ in range(count):
        if agent:
            assert len(bpftool("cgroup", "show", place.cgroup)) >= 2, "the agent's programs are not attached"
        out.append(place.undisturbed(agent, lambda: measure(place, unbound, queries, seconds, agent)))
        if agent:
            lost = {cause: n for cause, n in agent.status()["lost"].items() if n}
            assert not lost, f"records were lost: {lost}"
    return out


def mean(parts, key):
    return sum(part[key] for part in parts) / len(parts)


def run(smoke):
    seconds, rounds = (0.5, 1) if smoke else (3, 12)
    off, floor, on, ratios = [], [], [], []
    with Place(smoke) as place, FastUnbound(place) as unbound, agents.Place() as pins:
        queries = dnsperf.query_file(place)
        dnsperf.run(place, queries, seconds)  # warm
        for _ in range(rounds):
            a = slices(place, unbound, queries, seconds, 1)
            with EmptyPrograms(place, pins.bpffs):
                f = slices(place, unbound, queries, seconds, 1)
            with place.agent() as agent:
                b = slices(place, unbound, queries, seconds, 2, agent)
            with EmptyPrograms(place, pins.bpffs):
                f += slices(place, unbound, queries, seconds, 1)
            a += slices(place, unbound, queries, seconds, 1)
            off += a
            floor += f
            on += b
            ratios.append({**{key: mean(b, key) / mean(a, key) for key in a[0] if key != "agent_us"},
                           **{f"floor_{key}": mean(f, key) / mean(a, key) for key in a[0] if key != "agent_us"}})
    figures = {"off": {key: summary([s[key] for s in off]) for key in off[0]}, "on": {key: summary([s[key] for s in on]) for key in on[0]},
               "floor": {key: summary([s[key] for s in floor]) for key in floor[0]},
               "ratio": {key: summary([r[key] for r in ratios]) for key in ratios[0]}, "rounds": ratios}
    rows = [("queries/s, dnsperf at full speed", "qps", 0), ("CPU us/lookup, client and resolver", "cpu_us", 2), ("CPU us/lookup, agent", "agent_us", 2),
            ("one lookup at a time, other CPU: p50 us", "p50", 1), ("p90 us", "p90", 1), ("p99 us", "p99", 1),
            ("one lookup at a time, resolver's CPU: p50 us", "same_p50", 1)]
    table(f"Tracing on against off: median [quartiles] of {rounds} rounds of off, floor, on, on, floor, off", ["", "off", "on", "on / off", "floor / off"],
          [[label, spread(figures["off"][key], digits), spread(figures["on"][key], digits),
            spread(figures["ratio"][key]) if key in figures["ratio"] else "",
            spread(figures["ratio"][f"floor_{key}"]) if key in figures["ratio"] else ""] for label, key, digits in rows])
    figures["qps_met"] = figures["ratio"]["qps"]["median"] >= QPS_MIN
    figures["latency_met"] = figures["ratio"]["p50"]["median"] <= LATENCY_MAX
    print(f"  budgets: queries/s at least {QPS_MIN}x: {'met' if figures['qps_met'] else 'NOT met'}; "
          f"lookup at most {LATENCY_MAX}x: {'met' if figures['latency_met'] else 'NOT met'}")
    return figures
