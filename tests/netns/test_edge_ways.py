# SPDX-License-Identifier: Apache-2.0
"""What the edge's packets need on their way on: link addresses, drivers that take them, forwarding."""

import json

from agent import wait_until
from edge_world import FRONT, FRONT6, Edge, World, manifests
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
