# SPDX-License-Identifier: Apache-2.0
"""Where a bench runs: a cgroup that only its agent is attached to, a network namespace, and the built load programs."""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import tempfile
import time

from agent import Agent
from isolation import MOUNT, remove_cgroup
from netns import PREFIX, Namespace, bound_to_us, sh

HERE = os.path.dirname(os.path.abspath(__file__))
QUIET_SECONDS = 300  # how long to wait for another agent to go
LOAD_SLACK_SECONDS = 30


def bpftool(*arguments):
    return json.loads(sh("bpftool", "-j", *arguments).strip() or "[]") or []


class Disturbed(RuntimeError):
    """Another tracing agent was at work."""


class Place:
    def __init__(self, smoke=False):
        self._smoke = smoke
        cpus = sorted(os.sched_getaffinity(0))
        self.client_cpu, self.server_cpu = cpus[0], cpus[-1]
        self._stack = contextlib.ExitStack()
        try:
            self.dir = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))
            self.cgroup = os.path.join(MOUNT, f"cfbench-{os.getpid()}")
            os.mkdir(self.cgroup)
            self._stack.callback(remove_cgroup, self.cgroup)
            self.ns = self._stack.enter_context(Namespace("bench"))
            for program in ("load", "ask"):
                sh("cc", "-O2", "-Wall", "-Werror", "-o", f"{self.dir}/{program}", f"{HERE}/{program}.c")
        except BaseException:
            self._stack.close()
            raise

    def agent(self, *flags):
        return Agent("--log-level", "warn", *flags, cgroup_root=self.cgroup)

    def argv(self, cpu, *command):
        """The command in the place's namespace and cgroup (the sockets that it opens are traced), on one CPU."""
        enter = 'echo 0 >"$0/cgroup.procs" && exec "$@"'
        return bound_to_us(["sh", "-c", enter, self.cgroup, "nsenter", f"--net={self.ns.path}", "taskset", "-c", str(cpu), *command])

    def run_json(self, argv, seconds):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + LOAD_SLACK_SECONDS, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv[3:])}: exit {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def load(self, rate, seconds, first=0, names=1000, port=53, address="127.0.0.1"):
        """load.c: only its asking socket is in the cgroup."""
        argv = [f"{self.dir}/load", rate, seconds, first, names, address, port, self.cgroup]
        return self.run_json(self.ns.argv(*argv), seconds)

    def loads(self, count, rate, seconds):
        """Several at once, each with the given rate; their figures summed."""
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            futures = [pool.submit(self.load, rate, seconds, address=f"127.0.0.{1 + i}") for i in range(count)]
            done = [future.result() for future in futures]
        return {**{key: sum(d[key] for d in done) for key in done[0]}, "seconds": max(d["seconds"] for d in done)}

    def ask(self, cpu, address, seconds):
        return self.run_json(self.argv(cpu, f"{self.dir}/ask", address, str(seconds)), seconds)

    def foreign(self, agent=None):
        """Tracing programs that this bench did not attach and that its traffic meets."""
        ours = {program["id"] for program in agent.get("/v1/bpf")["programs"]} if agent else set()
        ours |= {program["id"] for program in bpftool("cgroup", "show", self.cgroup)}
        met = {program["id"] for program in bpftool("cgroup", "show", self.cgroup, "effective")}
        met |= {link["prog_id"] for link in bpftool("link", "show") if link.get("tp_name") == "sock_send_length"}
        return met - ours

    def undisturbed(self, agent, action):
        """What action() answers; done again when another agent was there before or after it.  A smoke run takes it as it is."""
        if self._smoke:
            return action()
        end = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < end:
            if not self.foreign(agent):
                result = action()
                if not self.foreign(agent):
                    return result
            time.sleep(0.2)
        raise Disturbed(f"another agent traces this machine (bpftool cgroup tree): stop it; waited {QUIET_SECONDS} s")

    def close(self):
        self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def cpu_seconds(pid):
    """User and system time of a process, from proc(5)."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    """VmRSS and what of it is the process's own."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        values = dict(line.split(":", 1) for line in file if line.startswith(("VmRSS", "RssAnon")))
    return {key: int(value.split()[0]) for key, value in values.items()}


def map_kib(agent):
    """Kernel memory of the maps that the agent's programs use, and of its ring."""
    used = set()
    ours = {program["id"] for program in agent.get("/v1/bpf")["programs"]}
    for program in bpftool("prog", "show"):
        if program["id"] in ours:
            used |= set(program.get("map_ids", []))
    maps = {m["name"]: m["bytes_memlock"] / 1024 for m in bpftool("map", "show") if m["id"] in used}
    assert "dns_pending" in maps, f"the agent's maps are not listed: {sorted(maps)}"
    return maps
