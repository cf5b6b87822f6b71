# SPDX-License-Identifier: Apache-2.0
"""What the edge's packets need on their way on: link addresses, drivers that take them, forwarding."""

import json

from agent import wait_until
from edge_world import FRONT, FRONT6, NODE, NODE_PORT, SET_GRO, Edge, World, manifests, set_feature
from harness import test


def setup(stack):
    return World(stack)


def reach_all(world, edge, what):
    """Both backends in both families; waits for it, as who is asked has to answer first."""
    def reached():
        answers = {address: [world.datagram(address, wait=0.5) or [None] for _ in range(8)] for address in (FRONT, FRONT6)}
        return all({answer[0] for answer in them} == {"1", "2"} for them in answers.values())

    try:
        wait_until(reached, 20, what)
    except AssertionError as error:
        raise AssertionError(f"{error}: {edge.verdicts()}") from error


def forget(world, devices):
    """Every link address that the edge's node knows there."""
    for device in devices:
        for row in json.loads(world.edge.ip("-j", "neigh", "show", "dev", device)):
            world.edge.ip("neigh", "del", row["dst"], "dev", device)


@test("backends whose link addresses nobody knows, or that are forgotten, are asked for and reached", seconds=90)
def neighbours(world):
    for forwarding in ("snat", "ipip"):
        forget(world, ("e1", "e2"))
        with Edge(world, forwarding) as edge:
            reach_all(world, edge, forwarding)
            forget(world, ("e1", "e2"))
            reach_all(world, edge, f"{forwarding}, forgotten")
            assert not edge.function()["degraded"], edge.function()


@test("so are the routers that backends are behind", seconds=60)
def routers(world):
    for n, ns in world.backends.items():  # who answers datagrams there is asked by the frontend's address: IP in IP
        ns.ip("address", "add", f"10.99.{n}.2/32", "dev", "lo")
        ns.ip("address", "add", f"fd99:{n}::2/128", "dev", "lo", "nodad")
        world.edge.ip("route", "add", f"10.99.{n}.0/24", "via", f"10.8.{n}.2")
        world.edge.ip("route", "add", f"fd99:{n}::/64", "via", f"fd08:{n}::2")
    with Edge(world, "ipip") as edge:
        edge._write(manifests("ipip", addresses=("10.99.{}.2", "fd99:{}::2")))  # pylint: disable=protected-access
        wait_until(lambda: "10.99.1.2" in str(edge.agent.get("/v1/services")), 5, "the backends are others")
        forget(world, ("e1", "e2"))
        reach_all(world, edge, "behind routers")


@test("so are the routers on the way back to clients, once an answer has found none", seconds=40)
def way_back(world):
    mac = json.loads(world.edge.ip("-j", "link", "show", "dev", "c0"))[0]["address"]
    way = ["10.6.0.1", "dev", "veth0"]
    world.router.ip("neigh", "replace", *way, "lladdr", mac, "nud", "permanent")  # or it asks, and is known by that
    try:
        with Edge(world) as edge:
            forget(world, ("c0",))
            wait_until(lambda: world.datagram(NODE, NODE_PORT, wait=0.5), 10, "the node port answers")
            assert edge.verdicts()["no_neighbour"] > 0, "nobody was missing"
    finally:
        world.router.ip("neigh", "del", *way)


@test("forwarding that is off is said until it is on, of families that are served, and not where somebody is kept out", seconds=60)
def forwarding(world):
    world.edge.run("sysctl", "-q", "-w", "net.ipv4.conf.c0.forwarding=0")
    try:
        with Edge(world) as edge:
            found = edge.function()
            assert found["degraded"] and "net/ipv4/conf/c0/forwarding is off" in found["detail"], found
            assert world.datagram(FRONT, wait=0.5) is None and edge.verdicts()["not_forwarding"] > 0, edge.verdicts()
            for args in (("create-blocklist", "198.51.100.0/24"), ("check-blocklist",), ("remove-ip", "198.51.100.0/24")):
                done = edge.agent.cfcli("policy", *args)
                assert done.returncode == 0 and not done.stderr, done
            world.edge.run("sysctl", "-q", "-w", "net.ipv4.conf.c0.forwarding=1")
            wait_until(lambda: not edge.function()["degraded"], 5, "what is on again is not degraded")
            reach_all(world, edge, "forwarded")
            world.edge.run("sysctl", "-q", "-w", "net.ipv6.conf.c0.forwarding=0")
            wait_until(lambda: "net/ipv6/conf/c0/forwarding is off" in edge.function()["detail"], 5, "IPv6 is said")
    finally:
        world.edge.run("sysctl", "-q", "-w", "net.ipv4.conf.c0.forwarding=1", "net.ipv6.conf.c0.forwarding=1")


@test("mode auto runs in the drivers where all take what XDP sends, else in the generic way, and says whose other end lacks what", seconds=150)
def drivers(world):
    with Edge(world, mode="auto") as edge:
        assert edge.function()["hook"] == "xdp c0 (native), e1 (native), e2 (native); tcx egress" and not edge.function()["degraded"], edge.function()
        reach_all(world, edge, "native")
        set_feature(world.router, "veth0", SET_GRO, 0)
        wait_until(lambda: edge.function()["hook"] == "xdp c0 (generic), e1 (generic), e2 (generic); tcx egress", 5, "packets go the generic way")
        reach_all(world, edge, "generic")
        try:
            edge.kill()
            edge.start()  # finds the generic ones
            reach_all(world, edge, "generic, adopted")
            edge.agent.stop()
            edge.start()
            found = edge.function()
            assert found["degraded"] and "c0 drops what XDP sends" in found["detail"] and "(generic)" in found["hook"], found
            reach_all(world, edge, "generic from the start")
            edge.agent.stop()
            edge.mode = "native"
            edge.start()
            found = edge.function()
            assert found["degraded"] and "c0 drops" in found["detail"] and "edge.mode: auto or generic" in found["detail"], found
            assert world.datagram(FRONT, wait=0.5) is None
        finally:
            set_feature(world.router, "veth0", SET_GRO, 1)
        wait_until(lambda: not edge.function()["degraded"], 5, "GRO is on again")
        reach_all(world, edge, "native again")
