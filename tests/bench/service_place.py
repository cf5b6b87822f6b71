# SPDX-License-Identifier: Apache-2.0
"""Where services are measured: a backend's network namespace, callers' namespaces joined to it, cgroups to call from.

Caller number K is 10.62.K.2 in its namespace; there the backend is 10.62.K.1 and 10.62.K.3, and the way to anything else.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import time

from agent import BUILD, Agent
from isolation import MOUNT, remove_cgroup
from netns import PREFIX, Namespace, bound_to_us, veth
from place import QUIET_SECONDS, Disturbed, bpftool

PROGRAMS = os.path.join(BUILD, "tests")
LOAD_SECONDS_MAX = 1200


def arm_text(arm):
    name, namespace, cgroup, address, services, port = arm
    return f"{name},{namespace.path},{cgroup},{address},{services},{port}"


class ServicePlace:
    def __init__(self, smoke=False):
        self._smoke = smoke
        self.cpu = min(os.sched_getaffinity(0))
        self._callers = 0
        self._stack = contextlib.ExitStack()
        try:
            self.dir = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))
            self._root = os.path.join(MOUNT, f"cfbench-{os.getpid()}")
            self._make_cgroup(self._root)
            self.backend = self._stack.enter_context(Namespace("backend"))
        except BaseException:
            self._stack.close()
            raise

    def _make_cgroup(self, path):
        os.mkdir(path)
        self._stack.callback(remove_cgroup, path)
        return path

    def cgroup(self, name):
        return self._make_cgroup(os.path.join(self._root, name))

    def caller(self):
        """A namespace that calls; its number."""
        number = self._callers
        self._callers += 1
        namespace = self._stack.enter_context(Namespace("caller"))
        veth(self.backend, namespace, [f"10.62.{number}.1/24", f"10.62.{number}.3/24"], [f"10.62.{number}.2/24"], name=f"c{number}")
        namespace.ip("route", "add", "default", "via", f"10.62.{number}.1")
        return namespace, number

    @staticmethod
    def new_agent(cgroup, manifests, *flags):
        return Agent("--log-level", "warn", "--manifests", manifests, *flags, cgroup_root=cgroup)

    def agent(self, cgroup, manifests, *flags):
        """One that ends with the place."""
        return self._stack.enter_context(self.new_agent(cgroup, manifests, *flags))

    def undisturbed(self, action):
        """What action() answers; done again when another agent hung above our cgroups meanwhile.  A smoke run takes it as it is."""
        end = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < end:
            if self._smoke or not bpftool("cgroup", "show", self._root, "effective"):
                result = action()
                if self._smoke or not bpftool("cgroup", "show", self._root, "effective"):
                    return result
            time.sleep(0.2)
        raise Disturbed(f"another agent is at work on this machine (bpftool cgroup tree): stop it; waited {QUIET_SECONDS} s")

    def load(self, kind, rounds, batch, port, arms):
        """connect_load's figures by arm; an arm: (name, namespace, cgroup, address, services, port)."""
        return self._program("connect_load", kind, self.cpu, rounds, batch, self.backend.path, port, *map(arm_text, arms))

    def change(self, arm, port, target, files):
        """Seconds until each of the (file, backend's address) is in force, renamed over the target one after the other."""
        return [ns / 1e9 for ns in self._program("change_wait", self.backend.path, port, arm_text(arm), target, *(part for file in files for part in file))]

    def sequence(self, count, port, arms):
        """For each arm, which of the backend's addresses its calls reached, in their order."""
        return self._program("connect_sequence", self.backend.path, port, count, *map(arm_text, arms))

    @staticmethod
    def _program(name, *arguments):
        argv = bound_to_us([os.path.join(PROGRAMS, name), *arguments])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LOAD_SECONDS_MAX, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{name}: exit {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()
