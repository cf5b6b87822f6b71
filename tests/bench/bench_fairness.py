# SPDX-License-Identifier: Apache-2.0
"""Who gets which share: each algorithm's shares over real connections, and what moves when one of many backends leaves.

Chi-squared: the chance that a draw with the wished shares is as far off as what was seen (Pearson).  Deviation: over every
window of connections, how many more or fewer a backend got than its share of the window.
"""

import collections
import json
import os

import chi_squared
from agent import wait_until
from figures import table
from place import bpftool
from service_manifests import PORT, TARGET_PORT, address_of, put, text
from service_place import ServicePlace

CHANCE_MIN = 1e-6  # once in a million runs, a fair draw is called unfair
WINDOWS = 200  # longest window, in connections
WEIGHTS = (1, 2, 3, 4)
HASH_BACKENDS = 100
TABLE = 16381
MAGLEV_SPREAD = 0.01  # Eisenbud et al., Maglev, NSDI 2016, 3.4: with a table of over 100 slots a backend


def policy(name, balancing, **more):
    return "---\n" + json.dumps({"apiVersion": "cortexflow.io/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": name, "namespace": "bench"},
                                 "spec": {"targetRefs": [{"kind": "Service", "name": name}], **({"loadBalancing": balancing} if balancing else {}), **more}}) + "\n"


def pod(name, labels=None, **annotations):
    return "---\n" + json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": name, "namespace": "bench", "labels": labels or {}, "annotations": {f"cortexflow.io/{k}": v for k, v in annotations.items()}}}) + "\n"


def services(endpoints):
    """Name -> (manifest, share of each endpoint)."""
    few = endpoints[:10]
    weights = {endpoint: WEIGHTS[i % len(WEIGHTS)] for i, endpoint in enumerate(few)}
    all_weights = sum(weights.values())
    canary = few[-1]
    made = {"RoundRobin": ("", {e: 0.1 for e in few}),
            "Random": (policy("s1", {"algorithm": "Random"}), {e: 0.1 for e in few}),
            "LeastConnections": (policy("s2", {"algorithm": "LeastConnections"}), {e: 0.1 for e in few}),
            "Weighted 1:2:3:4": (policy("s3", {"algorithm": "Weighted"}) + "".join(pod(f"s3-{i}", weight=str(w)) for i, w in enumerate(weights.values())),
                                 {e: w / all_weights for e, w in weights.items()}),
            "subsets 90:10": (policy("s4", None, subsets=[{"name": v, "labels": {"version": v}, "weight": w} for v, w in (("stable", 90), ("canary", 10))])
                              + "".join(pod(f"s4-{i}", {"version": "canary" if e == canary else "stable"}) for i, e in enumerate(few)),
                              {e: 0.1 for e in few})}
    return {name: (text(f"s{i}", address_of(i), few) + more, shares) for i, (name, (more, shares)) in enumerate(made.items())}


def deviation(sequence, shares):
    """The largest over all windows of up to WINDOWS connections; and over those in which every share is a whole number."""
    most = 0.0
    for endpoint, share in shares.items():
        sums = [0]
        for reached in sequence:
            sums.append(sums[-1] + (reached == endpoint) - share)
        most = max(most, max(abs(sums[start + length] - sums[start]) for length in range(1, WINDOWS + 1) for start in range(len(sums) - length)))
    return most


def draws(place, caller, cgroup, count, endpoints):
    rows = {}
    for number, (name, (_, shares)) in enumerate(services(endpoints).items()):
        [sequence] = place.sequence(count, TARGET_PORT, [(name, caller, cgroup, address_of(number), 1, PORT)])
        assert set(sequence) <= set(shares), f"{name}: foreign backends {set(sequence) - set(shares)}"
        value = chi_squared.statistic([sequence.count(e) for e in shares], [share * len(sequence) for share in shares.values()])
        rows[name] = {"connections": len(sequence), "chi_squared": value, "freedom": len(shares) - 1, "chance": chi_squared.chance(value, len(shares) - 1),
                      "deviation": deviation(sequence[:2000], shares)}
    return rows


def hash_manifest(endpoints, callers):
    balancing = {"algorithm": "ConsistentHash", "consistentHash": {"tableSize": TABLE}}
    pods = [pod(f"caller-{i}", cgroup=f"caller{i}") for i in range(callers)]
    return text("hash", address_of(99), endpoints) + policy("hash", balancing) + "".join(pods)


def kernel_table(agent):
    """Slot -> backend's number, of the only service that has a table of that size, as the kernel has it."""
    tables = {}
    for entry in bpftool("map", "dump", "pinned", os.path.join(agent.place.pins, "svc_slots")):
        key, value = entry["formatted"]["key"], entry["formatted"]["value"]
        tables.setdefault(key["table"], {})[key["index"]] = value["backend"]
    return next(slots for slots in tables.values() if len(slots) == TABLE)


def backends_of(agent):
    return next(len(row["backends"]) for row in agent.get("/v1/services")["services"] if row["name"] == "bench/hash")


def consistent_hash(place, agent, caller, cgroup, directory, endpoints, callers):
    arms = []
    for i in range(callers):
        path = os.path.join(cgroup, f"caller{i}")
        os.mkdir(path)
        arms.append((f"caller{i}", caller, path, address_of(99), 1, PORT))
    put(directory, "hash.yaml", hash_manifest(endpoints, callers))
    wait_until(lambda: any(row["name"] == "bench/hash" for row in agent.get("/v1/services")["services"]), 30, "the service is there")
    table_before, before = kernel_table(agent), [reached for [reached] in place.sequence(1, TARGET_PORT, arms)]
    gone = endpoints[42]
    put(directory, "hash.yaml", hash_manifest([e for e in endpoints if e != gone], callers))
    wait_until(lambda: backends_of(agent) == len(endpoints) - 1, 30, "one backend has left")
    table_after, after = kernel_table(agent), [reached for [reached] in place.sequence(1, TARGET_PORT, arms)]
    assert gone not in after, "the backend that left is still reached"
    counts, stay = collections.Counter(table_before.values()), set(table_after.values())
    left = set(counts) - stay
    assert len(left) == 1, f"backends that left the kernel's table: {left}"
    moved = sum(table_after[slot] != number for slot, number in table_before.items() if number in stay)
    stayed = [(one, other) for one, other in zip(before, after) if one != gone]
    value = chi_squared.statistic([before.count(e) for e in endpoints], [callers / len(endpoints)] * len(endpoints))
    apart = max(counts.values()) - min(counts.values())
    return {"slots": TABLE, "backends": len(endpoints), "callers": callers, "slots_apart": apart, "spread": apart / (TABLE / len(endpoints)),
            "slots_of_gone": counts[left.pop()] / TABLE, "slots_moved": moved / TABLE, "callers_moved": sum(one != other for one, other in stayed) / len(stayed),
            "chi_squared": value, "chance": chi_squared.chance(value, len(endpoints) - 1)}


def run(smoke):
    count, callers = (500, 20) if smoke else (20000, 1000)
    with ServicePlace(smoke) as place:
        caller, number = place.caller()
        endpoints = [f"10.62.{number}.{i}" for i in range(100, 100 + HASH_BACKENDS)]
        place.backend.run("sh", "-ec", f"for i in $(seq 100 {99 + HASH_BACKENDS}); do ip address add 10.62.{number}.$i/24 dev c{number}; done")
        directory, cgroup = os.path.join(place.dir, "manifests"), place.cgroup("agent")
        os.mkdir(directory)
        for name, (content, _) in services(endpoints).items():
            put(directory, f"{name.split()[0]}.yaml", content)
        agent = place.agent(cgroup, directory)
        refused = agent.get("/v1/services")["refusals"]
        assert not refused, refused
        rows = draws(place, caller, cgroup, count, endpoints)
        hashed = consistent_hash(place, agent, caller, cgroup, directory, endpoints, callers)
    table(f"Shares over {count:,} connections to 10 backends", ["algorithm", "chi-squared, 9 degrees of freedom", "chance", f"largest deviation, windows up to {WINDOWS}"],
          [[name, f"{row['chi_squared']:.2f}", f"{row['chance']:.2g}", f"{row['deviation']:.2f}"] for name, row in rows.items()])
    table(f"ConsistentHash: {HASH_BACKENDS} backends, {TABLE:,} slots in the kernel, {callers:,} callers; then one backend leaves",
          ["", "of all", "expected"],
          [["slots between the backends with most and fewest", hashed["slots_apart"], "at most 1"],
           ["slots of the backend that leaves", f"{hashed['slots_of_gone']:.2%}", f"{1 / HASH_BACKENDS:.2%}"],
           ["slots of others that move too", f"{hashed['slots_moved']:.2%}", "0.00 % at best"],
           ["callers of others that move too", f"{hashed['callers_moved']:.2%}", ""],
           ["chance of the callers' spread", f"{hashed['chance']:.2g}", ""]])
    met = {"fair": min(row["chance"] for row in [*rows.values(), hashed]) >= CHANCE_MIN, "exact": rows["RoundRobin"]["deviation"] <= 1, "even": hashed["spread"] <= MAGLEV_SPREAD}
    print(f"  no draw that chance makes less often than {CHANCE_MIN:g}: {'met' if met['fair'] else 'NOT met'}; round robin is never a connection off: {'met' if met['exact'] else 'NOT met'}; "
          f"slots differ by at most {MAGLEV_SPREAD:.0%} (the Maglev paper, 3.4): {'met' if met['even'] else 'NOT met'} ({hashed['spread']:.2%})")
    return {"draws": rows, "hash": hashed, "met": met}
