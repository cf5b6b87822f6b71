# SPDX-License-Identifier: Apache-2.0
"""Programs that do nothing, attached beside the agent's, so that both run for every packet."""

import contextlib
import os
import subprocess

from netns import sh
from place import HERE, bpftool


class EmptyPrograms:
    def __init__(self, place, bpffs):
        self._stack = contextlib.ExitStack()
        self.pins = {way: os.path.join(bpffs, "empty", f"empty_{way}") for way in ("egress", "ingress")}
        try:
            self._load(place, bpffs)
        except BaseException:
            self._stack.close()
            raise

    def _load(self, place, bpffs):
        include = "/usr/include/" + sh("cc", "-print-multiarch").strip()
        sh("clang-19", "-O2", "-g", "-target", "bpf", "-I", include, "-c", f"{HERE}/empty.bpf.c", "-o", f"{place.dir}/empty.o")
        self._stack.callback(subprocess.run, ["rm", "-rf", os.path.join(bpffs, "empty")], check=False)
        sh("bpftool", "prog", "loadall", f"{place.dir}/empty.o", os.path.join(bpffs, "empty"))
        for way, pin in self.pins.items():
            attachment = [place.cgroup, f"cgroup_inet_{way}", "pinned", pin]
            sh("bpftool", "cgroup", "attach", *attachment, "multi")
            self._stack.callback(subprocess.run, ["bpftool", "cgroup", "detach", *attachment], capture_output=True, check=False)

    def runs(self):
        """Name -> (run count, ns), where the kernel keeps statistics."""
        shown = [bpftool("prog", "show", "pinned", pin) for pin in self.pins.values()]
        return {program["name"]: (program.get("run_cnt", 0), program.get("run_time_ns", 0)) for program in shown}

    def close(self):
        self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
