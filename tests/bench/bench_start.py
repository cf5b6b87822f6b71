# SPDX-License-Identifier: Apache-2.0
"""How long after its start an agent sees lookups, beside bpftool, which loads the DNS programs alone and attaches nothing."""

import concurrent.futures
import contextlib
import datetime
import os
import subprocess
import time

from agent import BUILD, ROOT
from figures import spread, summary, table
from place import Place

RATE = 2000  # lookups a second: the first that is seen is no later than half a millisecond after the first that could be
FLOOR = "bpftool loads dns.bpf.o"
EXAMPLES = os.path.join(ROOT, "examples")
ARMS = {"agent": (),
        "agent with services and policy": ("--manifests", os.path.join(EXAMPLES, "shop"), os.path.join(EXAMPLES, "policy"))}


def instant(text):
    """RFC 3339 with nanoseconds, as seconds since the epoch."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    whole = datetime.datetime.fromisoformat(seconds).replace(tzinfo=datetime.timezone.utc).timestamp()
    return whole + float(f"0.{fraction or 0}")


def bpftool_seconds(place):
    """Of one `bpftool prog loadall`."""
    bpffs = os.path.join(place.dir, "bpffs")
    os.mkdir(bpffs)
    with contextlib.ExitStack() as stack:
        stack.callback(os.rmdir, bpffs)
        subprocess.run(["mount", "-t", "bpf", "bpf", bpffs], check=True)
        stack.callback(subprocess.run, ["umount", bpffs], check=True)
        began = time.monotonic()
        subprocess.run(["bpftool", "prog", "loadall", os.path.join(BUILD, "bpf", "dns.bpf.o"), os.path.join(bpffs, "dns")],
                       check=True, capture_output=True)
        return time.monotonic() - began


def agent_seconds(place, load_seconds, flags):
    """From the start of an agent's process to the first query that it saw leave its socket."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(place.load, RATE, load_seconds)
        time.sleep(0.2)  # until queries are on their way: those before the programs are attached are nobody's
        began = time.time()
        with place.agent(*flags) as agent:
            load.result()
            agent.balance()
            watch = agent.watch(follow="false")
            watch.wait_for(lambda lookup: True)
            first = min(instant(lookup["start"]) for lookup in watch.lookups)
    assert first > began, f"a lookup of {first}, before the agent was started at {began}"
    return first - began


def run(smoke):
    turns, load_seconds = (1, 3) if smoke else (11, 4)
    seconds = {name: [] for name in (FLOOR, *ARMS)}
    with Place(smoke) as place:
        for _ in range(turns):
            seconds[FLOOR].append(place.undisturbed(None, lambda: bpftool_seconds(place)))
            for name, flags in ARMS.items():
                seconds[name].append(place.undisturbed(None, lambda flags=flags: agent_seconds(place, load_seconds, flags)))
    of = {name: summary(values) for name, values in seconds.items()}
    table("From the start of the process to the first lookup seen, seconds: median [quartiles]", ["", "seconds", "over bpftool"],
          [[name, spread(value), f"{value['median'] / of[FLOOR]['median']:.2f}"] for name, value in of.items()])
    return of
