# SPDX-License-Identifier: Apache-2.0
"""What a newcomer sees first: ./dev demo's own script."""

import os
import re
import signal
import subprocess
import threading

from agent import ROOT, BUILD, wait_until
from harness import test
from isolation import CGROUP, PREFIX
from netns import sh


class Demo:
    def __init__(self, tmp):
        environment = {**os.environ, "CORTEXFLOW_CGROUP_ROOT": CGROUP, "CORTEXFLOW_BUILD": BUILD, "TMPDIR": tmp}
        self.process = subprocess.Popen([os.path.join(ROOT, "examples", "demo", "run")], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True)
        self.lines = []
        self._thread = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self._thread.start()

    def line(self, pattern, timeout=25):
        def found():
            assert self.process.poll() is None or not self._thread.is_alive(), self.lines
            return next((line for line in list(self.lines) if re.search(pattern, line)), None)

        try:
            return wait_until(found, timeout, f"a line {pattern}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {[l for l in self.lines if 'dig(' not in l][-12:]}") from error

    def end(self, number):
        os.killpg(self.process.pid, number)
        self.process.wait(15)
        self._thread.join(5)
        self.process.stdout.close()


def left_behind(tmp):
    """What a demo would leave: links, processes in our cgroup but ourselves, mounts and files."""
    with open(f"{CGROUP}/cgroup.procs", encoding="ascii") as file:
        processes = [pid for pid in file.read().split() if pid != str(os.getpid())]
    with open("/proc/self/mountinfo", encoding="ascii") as file:
        mounts = [line for line in file if tmp in line]
    return "shop" in sh("ip", "-o", "link"), processes, mounts, os.listdir(tmp)


def check(tmp, number, files_too):
    demo = Demo(tmp)
    try:
        demo.line(r"www\.shop\.demo")
        hint = demo.line(r"cf=")
        cfcli = re.search(r'cf="(.*)"', hint).group(1).split()
        chain = sh("curl", "-sS", "--fail", "http://10.96.0.10/").split()
        assert [name.rsplit("-", 1)[0] for name in chain] == ["frontend", "cart", "checkout"], chain
        assert chain[0].rsplit("-", 1)[1] == chain[1].rsplit("-", 1)[1], "the frontend's own version of the cart"
        demo.line(r"shop .*10\.96\.0\.11/ reached +cart: stable \d+, canary \d+")
        assert not any("failed" in line for line in demo.lines), demo.lines
        sh(*cfcli, "lb", "set-weight", "shop/cart", "stable", "0", "canary", "100")
        assert sh("curl", "-sS", "--fail", "http://10.96.0.11/") == "cart-canary\n"
        explained = sh(*cfcli, "explain", "shop/frontend-canary", "shop/cart:80")
        assert "translated" in explained and "cart-canary" in explained, explained
    finally:
        demo.end(number)
    gone = (False, [], [], [])
    wait_until(lambda: left_behind(tmp)[:3 + files_too] == gone[:3 + files_too], 10, f"nothing is left: {left_behind(tmp)}")


def setup(stack):
    tmp = f"/tmp/{PREFIX}demo"
    os.mkdir(tmp)
    stack.callback(sh, "rm", "-rf", "--one-file-system", tmp)
    return tmp


@test("the demo shows lookups and the shop, takes commands from a second terminal, and leaves nothing behind at Ctrl-C", seconds=60)
def ctrl_c(tmp):
    check(tmp, signal.SIGINT, True)


@test("a demo that is killed leaves no process, link, namespace or mount behind", seconds=60)
def killed(tmp):
    check(tmp, signal.SIGKILL, False)
