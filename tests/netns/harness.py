# SPDX-License-Identifier: Apache-2.0
"""The registry of tests and the way they are run.

A test file has tests, each a function under @test("one sentence"), and may have `setup(stack)`, whose value every test
of the file gets as its argument; what setup enters into the stack is left when the file's tests are done.  Its own
SETUP_SECONDS bound both.
"""

import contextlib
import faulthandler
import glob
import importlib
import os
import shutil
import signal
import sys
import time
import traceback

import isolation

SETUP_SECONDS = 40
TOOLS = ("ip", "nsenter", "setpriv", "mount", "umount", "cc", "clang", "dig", "dnsperf", "unbound", "unbound-control", "tshark",
         "tc", "bpftool", "wrk", "iperf3", "curl", "jq", "prometheus", "promtool", "bash", "unshare", "cmake", "systemd-analyze",
         "openssl", "certtool", "gnutls-cli")

_registry = []


class TestTimeout(BaseException):
    """Not an Exception, so that no test's own handler swallows it."""


def test(sentence, seconds=20):
    def register(function):
        _registry.append((function.__module__, sentence, seconds, function))
        return function

    return register


@contextlib.contextmanager
def bounded(seconds, what):
    def expire(*_):
        raise TestTimeout(f"{what}: not done within {seconds:g} s")

    signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def missing(tools):
    """What this machine lacks, one sentence each."""
    from agent import CFAGENT, CFCLI
    from authority import CFIDENTITY

    wants = [f"{tool} is not installed" for tool in tools if not shutil.which(tool)]
    wants += [f"{path} is not built" for path in (CFAGENT, CFCLI, CFIDENTITY) if not os.access(path, os.X_OK)]
    if not isolation.MOUNT:
        wants.append("cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup")
    if os.geteuid() != 0:
        wants.append("not root: namespaces and BPF programs need it")
    if not os.path.exists("/usr/include/liburing.h"):
        wants.append("liburing.h is not installed (liburing-dev)")
    return wants


def report(good, sentence, seconds, why=""):
    print(f"{'PASS' if good else 'FAIL'}  {sentence}  ({seconds:.1f} s)", flush=True)
    if why:
        print("      " + why.rstrip().replace("\n", "\n      "), flush=True)


def describe(error):
    """The message, and the lines of the test files that lead to it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if os.path.basename(f.filename).startswith("test_")]
    where = " < ".join(f"{os.path.basename(f.filename)}:{f.lineno}" for f in reversed(frames))
    return f"{type(error).__name__}: {error}" + (f"\nat {where}" if where else "")


def attempt(sentence, seconds, action):
    """Runs one bounded action and reports it; answers whether it passed."""
    seconds *= isolation.PATIENCE
    began = time.monotonic()
    try:
        with bounded(seconds, sentence):
            action()
    except (Exception, TestTimeout) as error:  # pylint: disable=broad-except
        report(False, sentence, time.monotonic() - began, describe(error))
        return False
    report(True, sentence, time.monotonic() - began)
    return True


def run_file(module, tests):
    """Answers (passed, failed)."""
    print(f"# {module}", flush=True)
    prepare = getattr(sys.modules[module], "setup", None)
    seconds_around = getattr(sys.modules[module], "SETUP_SECONDS", SETUP_SECONDS)
    arguments, results = [], []
    with contextlib.ExitStack() as last:
        stack = contextlib.ExitStack()
        last.callback(stack.close)  # should this run be ended here
        if prepare and not attempt(f"{module} is set up", seconds_around, lambda: arguments.append(prepare(stack))):
            return 0, len(tests)
        for _, sentence, seconds, function in tests:
            results.append(attempt(sentence, seconds, lambda f=function: f(*arguments)))
        results.append(attempt(f"{module} ends cleanly", seconds_around, stack.close))
    return results.count(True), results.count(False)


def stop(number, _):
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main(argv, here, tools=TOOLS):
    """Runs the tests of the folder `here` that match, or all."""
    faulthandler.enable()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    lacks = missing(tools)
    if lacks:
        print(f"tests/{os.path.basename(here)} can't run:\n  " + "\n  ".join(lacks), file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    isolation.sweep()
    isolation.enter()
    for path in sorted(glob.glob(os.path.join(here, "test_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    patterns = [pattern.lower() for pattern in argv]
    chosen = [entry for entry in _registry
              if not patterns or any(p in f"{entry[0]}: {entry[1]}".lower() for p in patterns)]
    if not chosen:
        print(f"no test matches {' '.join(argv)}", file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    passed = failed = 0
    for module in dict.fromkeys(entry[0] for entry in chosen):
        good, bad = run_file(module, [entry for entry in chosen if entry[0] == module])
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
