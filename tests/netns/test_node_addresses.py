# SPDX-License-Identifier: Apache-2.0
"""The node's addresses come and go while the agent runs: node ports follow them, at the edge and where sockets connect."""

import contextlib
import os
import signal
import subprocess

from agent import wait_until
from edge_world import FRONT, NODE_PORT, Edge, World
from harness import test

COME, COME6 = "10.6.0.77", "fd06::77"


def setup(stack):
    return World(stack)


@contextlib.contextmanager
def address(world, text, device="c0"):
    added = [text, "dev", device]
    world.edge.ip("address", "add", *added, *(["nodad"] if ":" in text else []))
    try:
        yield lambda: world.edge.ip("address", "del", *added)
    finally:
        subprocess.run(["ip", "-n", world.edge.name, "address", "del", *added], capture_output=True, check=False)


def from_outside(world, host):
    return world.curl(f"http://{host}:{NODE_PORT}/who", "--connect-timeout", "0.5")


def from_the_node(edge, host):
    """A caller whose connects the agent's hooks see."""
    script = 'echo $$ > "$1/cgroup.procs" && exec curl -s -g --connect-timeout 0.5 "$2"'
    argv = edge.world.edge.argv("sh", "-c", script, "sh", edge.cgroup, f"http://{host}:{NODE_PORT}/who")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=15)
    return done.stdout if done.returncode == 0 else None


@test("node ports answer on an address that comes, and no more on one that goes, at the edge and by connecting", seconds=60)
def come_and_go(world):
    with Edge(world) as edge:
        for text, host in ((f"{COME}/24", COME), (f"{COME6}/64", f"[{COME6}]")):
            for ask in (lambda h=host: from_outside(world, h), lambda h=host: from_the_node(edge, h)):
                assert ask() is None, f"{host} answers before it is there"
                with address(world, text) as remove:
                    wait_until(lambda a=ask: a() in ("1", "2"), 5, f"{host} answers")
                    remove()
                    wait_until(lambda a=ask: a() is None, 5, f"{host} answers no more")
        rows = edge.agent.get("/v1/services")["services"]
        assert not any(COME in one or COME6 in one for row in rows for one in row["addresses"]), rows


@test("a single-stack service's node ports leave the node's addresses of the other family to others", seconds=60)
def single_stack(world):
    one_family = {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "clusterIPs": ["10.97.0.1"]}
    with contextlib.ExitStack() as stack:
        folder = world.place.path("own")
        os.mkdir(folder)
        with open(f"{folder}/who", "w", encoding="ascii") as file:
            file.write("the node itself")
        server = world.edge.popen("python3", "-m", "http.server", "--bind", "fd06::1", "--directory", folder, NODE_PORT,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(server.wait)
        stack.callback(server.kill)
        edge = stack.enter_context(Edge(world, **one_family))
        wait_until(lambda: from_outside(world, "[fd06::1]") == "the node itself", 5, "the other's server is reached from outside")
        assert from_the_node(edge, "[fd06::1]") == "the node itself"
        assert from_outside(world, "10.6.0.1") in ("1", "2") and from_the_node(edge, "10.6.0.1") in ("1", "2")


@test("an address is found though word of it was lost among very many others", seconds=60)
def overrun(world):
    with Edge(world) as edge:
        edge.agent.signal(signal.SIGSTOP)
        try:
            lines = [f"address {verb} 10.66.{i}.1/32 dev c0" for i in range(250) for verb in ("add", "del")] * 8
            world.edge.run("ip", "-batch", "-", input="\n".join(lines) + "\n", timeout=40)
            drops = [int(line.split()[8]) for line in world.edge.run("cat", "/proc/net/netlink").splitlines()[1:]]
            assert any(drops), "no word was lost"
            with address(world, f"{COME}/24"):
                edge.agent.signal(signal.SIGCONT)
                wait_until(lambda: from_outside(world, COME) in ("1", "2"), 5, "the address answers")
        finally:
            edge.agent.signal(signal.SIGCONT)


@test("the edge sends from another address when its own has gone, and from the same after a restart while it is there", seconds=60)
def source(world):
    def sent_from():
        answer = world.datagram(FRONT, wait=0.5)
        return answer[1] if answer else None

    world.edge.run("sysctl", "-q", "-w", "net.ipv4.conf.e1.promote_secondaries=1")
    with Edge(world, interfaces="e1,c0,e2", addresses="") as edge:
        assert sent_from() == "10.8.1.1"
        with address(world, "10.8.1.77/24", "e1"):
            world.edge.ip("address", "del", "10.8.1.1/24", "dev", "e1")
            try:
                wait_until(lambda: sent_from() == "10.8.1.77", 5, "another address is sent from")
            finally:
                world.edge.ip("address", "add", "10.8.1.1/24", "dev", "e1")
            edge.kill()
            edge.start()
            assert sent_from() == "10.8.1.77"
