# SPDX-License-Identifier: Apache-2.0
"""Runs benches one after the other; a bench is a module bench_NAME with `run(smoke)`, which prints and answers figures."""

import importlib
import json
import os
import platform
import shutil
import signal
import sys
import time

from agent import CFAGENT, sh

NAMES = ["tracing", "rate", "programs", "memory", "peer", "connect", "scale", "fairness", "edge", "redirect", "policy", "identity", "start"]
IN_A_CLUSTER = ["kubernetes"]  # against what tests/cluster/kubelab builds first
SECONDS_MAX = 2400  # of one bench
TOOLS = ("ip", "nsenter", "taskset", "setpriv", "cc", "clang-19", "dnsperf", "unbound", "unbound-control", "bpftool", "dumpcap", "tshark", "iptables-legacy-restore", "nft", "iperf3")


def missing():
    wants = [f"{tool} is not installed (./dev deps)" for tool in TOOLS if not shutil.which(tool)]
    if not os.access(CFAGENT, os.X_OK):
        wants.append(f"{CFAGENT} is not built (./dev build)")
    if os.geteuid() != 0:
        wants.append("not root: namespaces and BPF programs need it (sudo ./dev bench)")
    return wants


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "cpu": models[0] if models else "unknown",
            "load": os.getloadavg()[0], "agent": sh(CFAGENT, "--version").strip(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def stop(number, _):
    raise SystemExit(128 + number)  # so that what was set up is taken down


def expire(*_):
    raise TimeoutError(f"not done within {SECONDS_MAX} s")


def main(names, smoke, json_path):
    lacks = missing()
    if lacks:
        print("tests/bench can't run:\n  " + "\n  ".join(lacks), file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    signal.signal(signal.SIGALRM, expire)
    results = {"machine": machine(), "smoke": smoke, "benches": {}}
    print("  ".join(f"{key}: {value}" for key, value in results["machine"].items()))
    if smoke:
        print("smoke run: these figures mean nothing")
    failed = False
    for name in names:
        began = time.monotonic()
        signal.alarm(SECONDS_MAX)
        try:
            results["benches"][name] = importlib.import_module(f"bench_{name}").run(smoke)
        except (OSError, RuntimeError, AssertionError) as error:
            failed = True
            results["benches"][name] = {"error": str(error)}
            print(f"\n{name}: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            signal.alarm(0)
        print(f"({name}: {time.monotonic() - began:.0f} s)", flush=True)
    if json_path:
        with open(json_path, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
    return 1 if failed else 0
