# SPDX-License-Identifier: Apache-2.0
"""Nanoseconds a packet of the edge, by BPF_PROG_TEST_RUN of its program among samples of an empty one (edge_bench.cpp)."""

import os
import re
import subprocess

from agent import BUILD
from netns import bound_to_us

LINE = re.compile(r"^(\S.*?)\s+(\d+) / (\d+)\s+(\d+) / (\d+)\s+(\d+) / (\d+)\s+[\d.]+$")


def run(smoke):
    rounds, repeat = (1, 1000) if smoke else (15, 200000)
    argv = bound_to_us([os.path.join(BUILD, "tests", "bench", "edge_bench"), rounds, repeat])
    figures = {}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := LINE.match(line):
                least, median, _, wrapper, _, empty = map(int, found.groups()[1:])
                figures[found[1]] = {"least_ns": least, "median_ns": median, "wrapper_ns": wrapper, "empty_ns": empty}
    assert process.returncode == 0, f"edge_bench ended with {process.returncode}"
    assert len(figures) > 20, f"{len(figures)} figures"
    return figures
