# SPDX-License-Identifier: Apache-2.0
"""dnsperf at full speed against the place's resolver."""

import os
import subprocess

from fast_unbound import ADDRESS
from place import LOAD_SLACK_SECONDS

NAMES = 1000


def query_file(place):
    path = os.path.join(place.dir, "queries")
    with open(path, "w", encoding="ascii") as file:
        file.writelines(f"n{number:08d}.bench.test A\n" for number in range(NAMES))
    return path


def run(place, queries, seconds):
    """Queries a second, how many, and CPU time of dnsperf itself."""
    argv = place.argv(place.client_cpu, "dnsperf", "-s", ADDRESS, "-d", queries, "-l", str(seconds), "-c", "1", "-T", "1", "-q", "100", "-O", "suppress=timeout")
    with open(os.path.join(place.dir, "dnsperf.out"), "w+", encoding="utf-8") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT)
        try:
            usage = wait(process, seconds + LOAD_SLACK_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        output.seek(0)
        text = output.read()
    figures = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(":")
        if value.split() and value.split()[0].replace(".", "", 1).isdigit():
            figures[key] = float(value.split()[0])
    if process.returncode != 0 or "Queries per second" not in figures:
        raise RuntimeError(f"dnsperf: exit {process.returncode}: {text[-500:]}")
    return {"qps": figures["Queries per second"], "completed": figures["Queries completed"], "cpu_seconds": usage}


def wait(process, seconds):
    """CPU seconds of the process, which has ended."""
    before = os.times()
    process.wait(seconds)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system
