# SPDX-License-Identifier: Apache-2.0
"""Agents that come back to broken manifests: whom the edge kept out stays out, and whom it served is served."""

import json

from agent import wait_until
from edge_world import CLIENT, FRONT, FRONT6, NODE, NODE_PORT, Edge, World, manifests, several
from harness import test


def setup(stack):
    return World(stack)


def answered(world, address=FRONT):
    return world.datagram(address, wait=0.5) is not None


def deny(name, *cidrs):
    return "\n---\n" + json.dumps({"apiVersion": "cortexflow.io/v1alpha1", "kind": "DenyList", "metadata": {"name": name},
                                   "spec": {"entries": [{"cidr": cidr} for cidr in cidrs]}})


def write(edge, *lists):
    edge._write(manifests("snat") + "".join(lists))  # pylint: disable=protected-access


def wait_for(world, what, v4, v6):
    wait_until(lambda: (answered(world), answered(world, FRONT6)) == (v4, v6), 5, what)


THEM, BROKEN = deny("them", "10.7.0.0/24"), deny("them", "10.7.0.0/240")
SIX, SIX_BROKEN = deny("six", "fd07::/64"), deny("six", "fd07::/640")


def comes_back(edge, end, *lists):
    end()
    write(edge, *lists)
    edge.start()


@test("a DenyList that is broken when the agent comes back stays in force, killed or stopped, until it can be read", seconds=90)
def broken(world):
    with Edge(world) as edge:
        for end in (edge.kill, lambda e=edge: e.agent.stop()):
            write(edge, THEM, SIX)
            wait_for(world, "both are denied", False, False)
            comes_back(edge, end, BROKEN, SIX)
            assert not answered(world) and not answered(world, FRONT6)
            detail = edge.function()["detail"]
            assert edge.function()["degraded"] and "can't be read stay in force as they last could be: them" in detail, detail
            assert "stay in force" in edge.agent.cfcli("status").stdout
            rows = json.loads(edge.agent.cfcli("policy", "check-blocklist", CLIENT, "-o", "json").stdout)["entries"]
            assert [(row["cidr"], row["origin"]) for row in rows] == [("10.7.0.0/24", "DenyList them, as it last could be read")], rows
            write(edge, BROKEN)
            wait_for(world, "the other one, which is gone, denies nobody", False, True)
            write(edge, deny("them", "10.7.9.0/24"))
            wait_for(world, "what is repaired counts", True, True)
            assert not edge.function()["degraded"], edge.function()


@test("where nobody can say which DenyList is broken, all stay; and over a second restart; one that is removed is gone", seconds=90)
def unnamed(world):
    with Edge(world) as edge:
        write(edge, THEM, SIX)
        wait_for(world, "both are denied", False, False)
        comes_back(edge, edge.kill, BROKEN, "\n---\n{")
        assert not answered(world) and not answered(world, FRONT6)
        comes_back(edge, edge.agent.stop, SIX_BROKEN)
        assert not answered(world, FRONT6) and answered(world), "the one that is there no more still denies"
        write(edge)
        wait_for(world, "both are gone", True, True)
        comes_back(edge, edge.kill, SIX_BROKEN)
        assert answered(world, FRONT6), "one that was removed came back"


@test("what an operator takes off the blocklist is let in, though a DenyList is held", seconds=60)
def operator(world):
    with Edge(world) as edge:
        write(edge, SIX)
        wait_for(world, "IPv6 is denied", True, False)
        assert edge.agent.cfcli("policy", "create-blocklist", CLIENT).returncode == 0
        comes_back(edge, edge.kill, SIX_BROKEN)
        assert not answered(world) and not answered(world, FRONT6)
        assert edge.agent.cfcli("policy", "remove-ip", CLIENT).returncode == 0
        assert answered(world) and not answered(world, FRONT6)


def served(world):
    return {answer for host in (FRONT, f"[{FRONT6}]", f"{NODE}:{NODE_PORT}")
            for answer in several(lambda h=host: world.curl(f"http://{h}/who", "--connect-timeout", "1"), 6)}


@test("a Service or EndpointSlice that is broken when the agent comes back is served at the edge as before", seconds=90)
def services(world):
    whole = manifests("snat")
    for text in (whole.replace('"port": 80,', '"port": 80000,'), whole.replace('"port": 8080\n', '"port": 80800\n')):
        with Edge(world) as edge:
            assert served(world) == {"1", "2"}
            edge.kill()
            edge._write(text)  # pylint: disable=protected-access
            edge.start()
            assert served(world) == {"1", "2"}, edge.verdicts()
            found = next(f for f in edge.agent.status()["functions"] if f["name"] == "services")
            assert found["degraded"] and "4 of the edge's" in found["detail"], found
            edge.serve(backends=(1,))
            wait_until(lambda: served(world) == {"1"}, 10, "what is repaired counts")
