# SPDX-License-Identifier: Apache-2.0
"""From boot on: cfagent --close keeps workloads apart until an agent has read its policies, the machine itself goes on,
and there is no moment at which anybody gets through whom policy refuses."""

import os
import socket
import subprocess
import sys
import threading

import isolation
from agent import Agent, total, wait_until
from harness import test
from netns import Namespace, sh
from policy_world import World, allow, policy

ECHO = """
import socket, sys
listener = socket.create_server(("", int(sys.argv[1])))
print("listens", flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(connection.recv(100))
"""
CALL = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3) as connection:
    connection.sendall(b"x")
    sys.exit(connection.recv(10) != b"x")
"""


def setup(stack):
    env = World(stack)
    env.elsewhere = stack.enter_context(Namespace("elsewhere"))
    sh("ip", "link", "add", "boot0", "type", "veth", "peer", "name", "boot0", "netns", env.elsewhere.name)
    stack.callback(subprocess.run, ["ip", "link", "del", "boot0"], capture_output=True, check=False)
    sh("ip", "address", "add", "10.73.0.1/24", "dev", "boot0")
    sh("ip", "link", "set", "boot0", "up")
    env.elsewhere.ip("address", "add", "10.73.0.2/24", "dev", "boot0")
    env.elsewhere.ip("link", "set", "boot0", "up")
    return env


def reboot(env):
    """As after one: no pins, and then, before anything else, cfagent --close."""
    env.agent.stop()
    assert env.place.run("--remove").returncode == 0
    closed = env.place.run("--close")
    assert closed.returncode == 0 and "closed: " in closed.stdout, closed


def on_another_machine(env, *argv):
    """In a network namespace and a cgroup that the agent doesn't see."""
    shell = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', os.path.dirname(isolation.CGROUP)]
    return [*shell, "ip", "netns", "exec", env.elsewhere.name, sys.executable, *argv]


def host_talks(env):
    """Calls another machine, and is called by it."""
    with subprocess.Popen(on_another_machine(env, "-c", ECHO, "7001"), stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout.readline() == b"listens\n"
            out = subprocess.run([sys.executable, "-c", CALL, "10.73.0.2", "7001"], check=False, timeout=20).returncode == 0
        finally:
            server.kill()
    with subprocess.Popen([sys.executable, "-c", ECHO, "7002"], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout.readline() == b"listens\n"
            called = subprocess.run(on_another_machine(env, "-c", CALL, "10.73.0.1", "7002"), check=False, timeout=20).returncode == 0
        finally:
            server.kill()
    return out and called


def authorization(env):
    return next(f for f in env.agent.status()["functions"] if f["name"] == "authorization")


class Prober:
    """Somebody whom policy refuses, who tries all the time."""

    def __init__(self, env):
        self.tries, self.through = 0, 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(env,))
        self._thread.start()

    def _run(self, env):
        while not self._ends.is_set():
            self.through += bool(env.reaches(env.thief, timeout=0.1)) + env.asks(env.thief)
            self.tries += 1

    def end(self):
        self._ends.set()
        self._thread.join()
        return self.tries, self.through


@test("closed at boot: no workload is reached or reaches anybody, over TCP or UDP, but itself; the machine goes on", seconds=90)
def closed(env):
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
    reboot(env)
    assert not env.reaches(env.web) and not env.reaches(env.thief) and not env.asks(env.web)
    assert not env.reaches(env.web, address="fd71::2"), "IPv6"
    assert env.reaches(env.cart, address="127.0.0.1"), "itself"
    with env.web.socket(kind=socket.SOCK_STREAM) as listener:
        listener.bind(("10.71.0.1", 9092))
        listener.listen()
        assert not env.connect(env.cart, 9092, "10.71.0.1"), "nor does it call"
    assert host_talks(env)
    again = env.place.run("--close")
    assert again.returncode == 0 and "in force already" in again.stdout, again
    env.start()
    env.becomes(True, False)


@test("who is refused never gets through while an agent starts slowly; then what policy says is open, and no more", seconds=120)
def slow_start(env):
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
    env.becomes(True, False)
    reboot(env)
    manifests = env.place.path("manifests")
    os.rename(manifests, manifests + ".away")
    prober = Prober(env)
    try:
        env.start()
        function = authorization(env)
        assert function["degraded"] and "closed since 20" in function["detail"], function
        assert total(env.agent.metrics(), "cortexflow_policy_boot_closed") == 1
        assert not env.reaches(env.web) and not env.reaches(env.thief)
        assert total(env.agent.metrics(), "cortexflow_policy_verdicts_total", verdict="boot") > 0
        with open(manifests + ".away/all.yaml", encoding="ascii") as file:
            text = file.read()
        os.mkdir(manifests)
        with open(manifests + "/all.yaml", "w", encoding="ascii") as half:
            half.write(text[:len(text) // 2])
            half.flush()
            wait_until(lambda: "half" in str(env.agent.get("/v1/services")["refusals"]) or
                       any("all.yaml" in one for one in env.agent.get("/v1/services")["refusals"]), 5, "half of it is seen")
            assert total(env.agent.metrics(), "cortexflow_policy_boot_closed") == 1
            assert not env.reaches(env.web)
            half.write(text[len(text) // 2:])
        wait_until(lambda: env.reaches(env.web), 15, "open as policy says")
        assert total(env.agent.metrics(), "cortexflow_policy_boot_closed") == 0
        assert "nothing is closed since boot" in env.agent.log()
        assert not env.reaches(env.thief)
    finally:
        tries, through = prober.end()
        subprocess.run(["rm", "-rf", manifests + ".away"], check=False)
    assert tries > 10 and through == 0, (tries, through)


@test("a policy that can't be read after boot keeps its namespace closed, and holds up no other", seconds=90)
def unreadable(env):
    env.apply([{**allow("web-only", {"serviceAccounts": ["web"]}), "spec": {"rule": []}}])
    reboot(env)
    env.start()
    assert not env.reaches(env.web) and not env.reaches(env.thief)
    assert total(env.agent.metrics(), "cortexflow_policy_boot_closed") == 0
    env.apply([{**policy("new", ns="other"), "spec": {"rule": []}}])
    env.becomes(True, True)


@test("an agent without any policy opens again, as does one that follows nothing, and cfagent --remove", seconds=90)
def opens(env):
    env.apply([])
    reboot(env)
    assert not env.reaches(env.thief)
    env.start()
    wait_until(lambda: env.reaches(env.thief), 10, "open")
    assert not authorization(env)["degraded"]
    reboot(env)
    assert not env.reaches(env.thief)
    env.agent = Agent(place=env.place)
    wait_until(lambda: env.reaches(env.thief), 10, "open")
    assert not any(os.path.basename(name).startswith("policy") for name in env.place.pinned())
    reboot(env)
    assert not env.reaches(env.thief)
    assert env.place.run("--remove").returncode == 0
    wait_until(lambda: env.reaches(env.thief), 10, "open")
    env.start()
