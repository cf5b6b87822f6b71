# SPDX-License-Identifier: Apache-2.0
"""What policy and flow accounting cost between two workloads: ns a run of each program, a TCP round trip, and octets a
second, with no rule, 1, 1,000 and 100,000, against sockets that no program sees."""

import contextlib
import json
import os
import subprocess
import tempfile

from agent import Agent, Place as AgentPlace, total, wait_until
from figures import spread, summary, table
from isolation import MOUNT, remove_cgroup
from netns import PREFIX, Namespace, sh, veth
from place import HERE, bpftool

SERVER, CALLER = "10.74.0.2", "10.74.0.1"
RULES = (0, 1, 1000, 100_000)
PORTS = {"seen": 8080, "unseen": 8081}  # pingpong's
STREAMS = {"seen": 5201, "unseen": 5202}  # iperf3's
PROGRAMS = ("policy_ingress", "policy_egress")
LIST_MAX = 256  # ports of an operation
STATISTICS = "/proc/sys/kernel/bpf_stats_enabled"


def pod(name, address):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "bench", "labels": {"app": name}},
            "spec": {"serviceAccountName": name}, "status": {"podIP": address}}


def policy(rules):
    """One rule lets the caller in, over TCP and UDP; of the others half are CIDRs, half ports, each likewise, none of them the
    caller's."""
    count = rules // 4
    documents = [{"from": [{"source": {"serviceAccounts": ["caller"]}}]}]
    for first in range(0, count, LIST_MAX):
        several = range(first, min(first + LIST_MAX, count))
        documents.append({"from": [{"source": {"ipBlocks": [f"172.{16 + i // 65536}.{i // 256 % 256}.{i % 256}/32" for i in several]}}]})
        documents.append({"to": [{"operation": {"ports": [10_000 + i for i in several], "protocols": ["TCP", "UDP"]}}]})
    return {"apiVersion": "cortexflow.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": "bench", "namespace": "bench"},
            "spec": {"rules": documents}}


@contextlib.contextmanager
def statistics():
    """While they are kept each run of a program costs two looks at the clock more."""
    def write(text):
        with open(STATISTICS, "w", encoding="ascii") as file:
            file.write(text)

    with open(STATISTICS, encoding="ascii") as file:
        before = file.read()
    write("1")
    try:
        yield
    finally:
        write(before)


class World:
    def __init__(self, stack):
        self.folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))
        os.mkdir(f"{self.folder}/manifests")
        self.cgroup = os.path.join(MOUNT, f"cfbench-{os.getpid()}")
        os.mkdir(self.cgroup)
        stack.callback(remove_cgroup, self.cgroup)
        self.server, self.caller = (stack.enter_context(Namespace(name)) for name in ("server", "caller"))
        veth(self.server, self.caller, [f"{SERVER}/24"], [f"{CALLER}/24"])
        self.pingpong = f"{self.folder}/pingpong"
        sh("cc", "-O2", "-Wall", "-Werror", "-o", self.pingpong, f"{HERE}/pingpong.c")
        for where in PORTS:
            for argv in ([self.pingpong, str(PORTS[where])], ["iperf3", "-s", "-p", str(STREAMS[where])]):
                process = self.server.popen(*self.inside(where, argv), stdout=subprocess.DEVNULL)
                stack.callback(process.wait)
                stack.callback(process.kill)
        self.apply(0)
        self.agent = Agent("--manifests", f"{self.folder}/manifests", "--log-level", "warn",
                           place=stack.enter_context(AgentPlace()), cgroup_root=self.cgroup)
        stack.callback(self.agent.close)

    def inside(self, where, argv):
        """The sockets are seen by the agent's programs, or by none."""
        argv = ["taskset", "-c", "0" if argv[0] == "iperf3" and "-s" not in argv else "1", *argv]
        return ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', self.cgroup, *argv] if where == "seen" else argv

    def apply(self, rules):
        documents = [pod("server", SERVER), pod("caller", CALLER), *([policy(rules)] if rules else [])]
        path = f"{self.folder}/manifests/all.yaml"
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write("\n---\n".join(map(json.dumps, documents)))
        os.rename(path + ".new", path)

    def becomes(self, rules):
        """In the kernel, in both tables."""
        self.apply(rules)
        wanted = rules and 2 + rules // 4 * 4

        def entries():
            metrics = self.agent.metrics()
            return sum(total(metrics, "cortexflow_bpf_map_entries", map=name) for name in ("policy_rules", "policy_blocks"))

        wait_until(lambda: entries() == wanted, 60, f"{wanted} entries in the kernel")

    def round_trip(self, where, seconds):
        done = self.caller.run(*self.inside(where, [self.pingpong, SERVER, str(PORTS[where]), str(seconds)]), timeout=seconds + 20)
        return json.loads(done)["median_us"]

    def stream(self, where, seconds):
        """Gbit/s that arrived."""
        argv = ["iperf3", "-c", SERVER, "-p", str(STREAMS[where]), "-t", str(seconds), "-J"]
        done = json.loads(self.caller.run(*self.inside(where, argv), timeout=seconds + 20))
        return done["end"]["sum_received"]["bits_per_second"] / 1e9

    def datagrams(self, seconds):
        argv = ["iperf3", "-c", SERVER, "-p", str(STREAMS["seen"]), "-u", "-b", "0", "-l", "64", "-t", str(seconds), "-J"]
        self.caller.run(*self.inside("seen", argv), timeout=seconds + 20)

    def program_ns(self, action):
        """Of each policy program, ns a run while that goes on; the kernel's own clock reads are in it."""
        ids = {program["name"]: program["id"] for program in self.agent.get("/v1/bpf")["programs"]}

        def now():
            shown = {name: bpftool("prog", "show", "id", str(ids[name])) for name in PROGRAMS}
            return {name: (one.get("run_cnt", 0), one.get("run_time_ns", 0)) for name, one in shown.items()}

        with statistics():
            before = now()
            action()
            after = now()
        return {name: (after[name][1] - before[name][1]) / (after[name][0] - before[name][0]) for name in PROGRAMS}


def run(smoke):
    seconds, turns = (1, 1) if smoke else (2, 7)
    keys = [f"{rules} rules" for rules in RULES]
    trips, streams = ({key: [] for key in keys} for _ in range(2))
    runs = {kind: {name: {key: [] for key in keys[1:]} for name in PROGRAMS} for kind in ("TCP, judged before", "a datagram, judged")}
    with contextlib.ExitStack() as stack:
        world = World(stack)
        world.round_trip("unseen", 0.2)  # neighbours and caches
        for _ in range(turns):
            for rules, key in zip(RULES, keys):
                world.becomes(rules)
                trips[key].append(world.round_trip("seen", seconds / 2) / world.round_trip("unseen", seconds / 2))
                streams[key].append(world.stream("seen", seconds) / world.stream("unseen", seconds))
                if not rules:
                    continue
                for kind, action in (("TCP, judged before", lambda: world.round_trip("seen", 0.5)),
                                     ("a datagram, judged", lambda: world.datagrams(1))):
                    for name, ns in world.program_ns(action).items():
                        runs[kind][name][key].append(ns)
        assert total(world.agent.metrics(), "cortexflow_policy_verdicts_total", verdict="allowed", direction="in") > 0
    figures = {"round_trip": {k: summary(v) for k, v in trips.items()}, "stream": {k: summary(v) for k, v in streams.items()},
               "ns": {f"{kind}: {name}": {k: summary(v) for k, v in by.items()} for kind, names in runs.items() for name, by in names.items()}}
    table("with the programs over without, medians of interleaved slices",
          ["", "TCP round trip", "iperf3, Gbit/s"], [[k, spread(figures["round_trip"][k]), spread(figures["stream"][k])] for k in keys])
    table("ns a run, by the kernel's statistics", ["", *keys[1:]],
          [[name, *(spread(by[k], 0) for k in keys[1:])] for name, by in figures["ns"].items()])
    return figures
