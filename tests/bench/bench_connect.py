# SPDX-License-Identifier: Apache-2.0
"""What connecting to a service costs, against connecting directly, with more and more services; beside kube-proxy's rules.

One caller after the other on one CPU, in batches whose order is drawn anew each round: direct (no agent), direct and to a
service in the cgroup of an agent that holds N services, to a service through iptables and through nftables that hold as
many.  Each connect goes to one of the N at random, "one of" to the same each time: what differs is how much of the tables is
in the CPU's caches.  Each service has two endpoints.  An agent traces DNS too, as agents do.
"""

from statistics import median

import kube_rules
from figures import spread, summary, table
from service_manifests import FIRST, PORT, TARGET_PORT, address_of, put, text, write_services
from service_place import ServicePlace

BUDGET = 1.05
FLAT = 1.02  # the most services against the fewest
UDP_SERVICE = "10.95.0.1"


def endpoints(number):
    return [f"10.62.{number}.1", f"10.62.{number}.3"]


def prepare(place, counts):
    """The arms of TCP, and of UDP."""
    direct, number = place.caller()
    off = place.cgroup("off")
    backend = endpoints(number)[0]
    tcp = [("direct", direct, off, backend, 1, TARGET_PORT)]
    udp = list(tcp)
    for count in counts:
        manifests = f"{place.dir}/manifests{count}"
        write_services(manifests, count, lambda _: endpoints(number))
        put(manifests, "udp.yaml", text("udp", UDP_SERVICE, [backend], "UDP"))
        cgroup = place.cgroup(f"agent{count}")
        place.agent(cgroup, manifests)
        tcp.append((f"beside {count}", direct, cgroup, backend, 1, TARGET_PORT))
        tcp.append((f"service {count}", direct, cgroup, FIRST, count, PORT))
        if count > 1:
            tcp.append((f"one of {count}", direct, cgroup, FIRST, 1, PORT))
        udp.append((f"beside {count}", direct, cgroup, backend, 1, TARGET_PORT))
        udp.append((f"service {count}", direct, cgroup, UDP_SERVICE, 1, PORT))
        for name, install in (("iptables", kube_rules.install_iptables), ("nftables", kube_rules.install_nftables)):
            namespace, at = place.caller()
            install(namespace, [(address_of(i), PORT, endpoints(at), TARGET_PORT) for i in range(count)])
            tcp.append((f"{name} {count}", namespace, off, FIRST, count, PORT))
    return tcp, udp


def figures_of(loads, what):
    """By arm: the ratio to direct of each round's median, summarised, and quantiles."""
    direct = loads["direct"][what]
    return {name: {"ratio": summary([mine / theirs for mine, theirs in zip(load[what], direct)]),
                   "more_ns": median(mine - theirs for mine, theirs in zip(load[what], direct)),
                   "p50": load[f"{what}_p50"], "p99": load[f"{what}_p99"], "rate": 1e9 / load[f"{what}_p50"]} for name, load in loads.items()}


def show_tcp(title, loads, counts):
    first, whole = figures_of(loads, "first"), figures_of(loads, "whole")
    rows = []
    for name in loads:
        rows.append([name, f"{first[name]['p50'] / 1e3:.2f}", f"{first[name]['p99'] / 1e3:.1f}", f"{first[name]['more_ns']:.0f}", spread(first[name]["ratio"]),
                     f"{whole[name]['rate']:,.0f}", spread(whole[name]["ratio"])])
    table(f"TCP, {title}: connect, and socket + connect + close; ratios are medians [quartiles] over the rounds",
          ["arm, services", "connect p50 us", "p99 us", "more ns", "ratio to direct", "whole/s", "ratio to direct"], rows)
    services = [first[f"service {count}"]["ratio"]["median"] for count in counts]
    flat = services[-1] / services[0]
    met = max(services) <= BUDGET
    print(f"  budgets: connect to a service at most {BUDGET}x: {'met' if met else 'NOT met'} ({max(services):.3f}); "
          f"flat, {counts[-1]:,} services against {counts[0]}: {flat:.3f}x: {'met' if flat <= FLAT else 'NOT met'}")
    return {"connect": first, "whole": whole, "met": met, "flat": flat, "flat_met": flat <= FLAT}


def show_udp(loads):
    send, both = figures_of(loads, "first"), figures_of(loads, "whole")
    table("UDP, unconnected socket, one after the other: sendto, and sendto + recvfrom",
          ["arm, services", "sendto p50 us", "ratio to direct", "both p50 us", "ratio to direct"],
          [[name, f"{send[name]['p50'] / 1e3:.2f}", spread(send[name]["ratio"]), f"{both[name]['p50'] / 1e3:.2f}", spread(both[name]["ratio"])]
           for name in loads])
    return {"sendto": send, "both": both}


def run(smoke):
    counts = (1, 100) if smoke else (1, 100, 1000, 10000)
    rounds, batch = (3, 20) if smoke else (300, 64)
    with ServicePlace(smoke) as place:
        tcp, udp = prepare(place, counts)
        served, alone, datagrams = (place.undisturbed(lambda k=kind, a=arms: place.load(k, rounds, batch, TARGET_PORT, a))
                                    for kind, arms in (("served", tcp), ("tcp", tcp), ("udp", udp)))
    return {"served": show_tcp("a server accepts on another CPU", served, counts),
            "alone": show_tcp("the caller's CPU alone, nobody to wake", alone, counts), "udp": show_udp(datagrams)}
