# SPDX-License-Identifier: Apache-2.0
"""Backends on the edge's own node, pods' and its own: through the stack, with nothing on pods' interfaces."""

import json
import os
import socket
import subprocess
import sys

from agent import CFAGENT, wait_until
from edge_world import (CLIENT, CLIENT6, DATAGRAM_SERVER, FRONT, FRONT6, NODE, NODE_PORT, OWN, SET_GSO, SET_TSO, SET_TX_CHECKSUM, Edge, World,
                        set_feature)
from harness import test
from netns import sh

# As network plugins and firewalls have it: connections that the node didn't see begin don't pass, and pods' own calls get its address.
FIREWALL = """
table inet firewall {
  chain forward { type filter hook forward priority 0; ct state invalid counter drop; }
  chain out { type nat hook postrouting priority 100; ip saddr 10.8.0.0/16 ip daddr != 10.8.0.0/16 counter masquerade; }
}
"""


REFUSES = """
table inet refuse {
  chain in { type filter hook input priority 0; ip daddr 10.8.1.3 meta l4proto tcp reject with tcp reset;
             ip6 daddr fd08:1::3 meta l4proto tcp reject with tcp reset; }
}
"""


def setup(stack):
    return World(stack)


def programs(world):
    """What hangs on the edge's interfaces."""
    found = json.loads(world.edge.run("bpftool", "-j", "net", "show"))[0]
    return sorted((row["devname"], row["kind"]) for row in found["tc"] if row["name"].startswith("edge"))


def both_answer(world, edge):
    for url in (f"http://{FRONT}/who", f"http://[{FRONT6}]/who"):
        answers = world.who(url)
        assert set(answers) == {"1", "2"}, f"{url}: {answers} {edge.verdicts()}"
    for address, client in ((FRONT, CLIENT), (FRONT6, CLIENT6)):
        answers = world.datagrams(address)
        assert {answer[0] for answer in answers} == {"1", "2"}, f"{address}: {answers} {edge.verdicts()}"
        assert {answer[1] for answer in answers} == {client}, f"{address}: {answers}"


def asks(world, address, port):
    with world.client.socket(kind=socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(5)
        sock.bind(("", port))
        sock.connect(address)
        sock.sendall(b"GET /who HTTP/1.0\r\n\r\n")
        answer = b""
        while data := sock.recv(65536):  # until the server has closed
            answer += data
        return answer.decode().rsplit("\r\n\r\n", 1)[1]


@test("pods on the node are reached over TCP, UDP, IPv4 and IPv6 with nothing on their interfaces, and see the client", seconds=60)
def pods(world):
    for mode in ("generic", "native"):
        with Edge(world, mode=mode, interfaces="c0", local=(1, 2), addresses=None) as edge:
            assert programs(world) == [("c0", "tcx/egress")], programs(world)
            both_answer(world, edge)
            for url in (f"http://{NODE}:{NODE_PORT}/who", f"http://[fd06::1]:{NODE_PORT}/who"):
                assert set(world.who(url)) == {"1", "2"}, f"{url}: {edge.verdicts()}"
            counted = edge.verdicts()
            assert counted["stack"] > 60 and counted["replied"] > 60 and counted["translated"] == 0, counted
        assert not programs(world), programs(world)


@test("connection tracking and masquerading, as plugins and firewalls have them, see whole connections and change nothing", seconds=60)
def tracked(world):
    sh("ip", "netns", "exec", world.edge.name, "nft", "-f", "-", input=FIREWALL)
    try:
        with Edge(world, interfaces="c0", local=(1, 2)) as edge:
            both_answer(world, edge)
            world.download(edge)
            rules = json.loads(world.edge.run("nft", "-j", "list", "table", "inet", "firewall"))["nftables"]
            counters = [part["counter"]["packets"] for row in rules if "rule" in row for part in row["rule"]["expr"] if "counter" in part]
            assert len(counters) == 2 and not any(counters), counters
    finally:
        world.edge.run("nft", "delete", "table", "inet", "firewall")


@test("answers in segments larger than any wire takes, whose checksums a device is to complete, arrive whole", seconds=60)
def large_segments(world):
    features = [(world.backends[n], "veth0", command) for n in world.backends for command in (SET_TX_CHECKSUM, SET_GSO, SET_TSO)]
    for feature in features:
        set_feature(*feature, 1)
    try:
        with Edge(world, interfaces="c0", local=(1, 2)) as edge:
            both_answer(world, edge)
            world.download(edge)
    finally:
        for feature in features:
            set_feature(*feature, 0)


@test("an upload to a pod behind a narrow way is told so as by the frontend, and arrives; so are large datagrams in parts", seconds=60)
def narrow(world):
    with Edge(world, interfaces="c0", local=(1,), backends=(1,)) as edge:
        for address in (FRONT, FRONT6):
            answers = [world.datagram(address, size=4000) for _ in range(4)]
            assert None not in answers and {answer[2] for answer in answers} == {"4000"}, f"{address}: {answers} {edge.verdicts()}"
        world.edge.ip("link", "set", "e1", "mtu", "1300")
        try:
            for address in (FRONT, FRONT6):
                world.upload(address)
            assert edge.verdicts()["error_followed"] >= 2, edge.verdicts()
        finally:
            world.edge.ip("link", "set", "e1", "mtu", "1500")


@test("a port that nobody listens on refuses at once, from the frontend: TCP by a reset, UDP by an error", seconds=40)
def refused(world):
    # The web server is on every address.
    sh("ip", "netns", "exec", world.backends[1].name, "nft", "-f", "-", input=REFUSES)
    with Edge(world, interfaces="c0", local=(1,), backends=(1,)) as edge:
        edge.apply(lambda: "10.8.1.3" in json.dumps(edge.agent.get("/v1/services")), "another address", local=(1,), backends=(1,),
                   addresses=("10.8.{}.3", "fd08:{}::3"))
        world.backends[1].ip("address", "add", "10.8.1.3/24", "dev", "veth0")
        world.backends[1].ip("address", "add", "fd08:1::3/64", "dev", "veth0", "nodad")
        try:
            for family, address in ((socket.AF_INET, FRONT), (socket.AF_INET6, FRONT6)):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    with world.client.socket(family, kind) as sock:
                        sock.settimeout(5)
                        try:
                            sock.connect((address, 80))
                            sock.send(b"?")
                            sock.recv(100)
                            raise AssertionError(f"{address} answered")
                        except ConnectionRefusedError:
                            pass
        finally:
            world.backends[1].run("nft", "delete", "table", "inet", "refuse")
            world.backends[1].ip("address", "del", "10.8.1.3/24", "dev", "veth0")
            world.backends[1].ip("address", "del", "fd08:1::3/64", "dev", "veth0")


@test("a server in the node's own network is reached at the balancer's address and at a node port, also beside being asked itself", seconds=60)
def own(world):
    folder = world.place.path("www-own")
    os.mkdir(folder)
    with open(f"{folder}/who", "w", encoding="ascii") as file:
        file.write("node")
    argvs = (("python3", "-m", "http.server", "--bind", "::", "--directory", folder, 8080),
             (sys.executable, "-c", DATAGRAM_SERVER, "node", f"{NODE},8080", "fd06::1,8080"))
    servers = [world.edge.popen(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for argv in argvs]
    try:
        with Edge(world, interfaces="c0", backends=(1,), addresses=None) as edge:
            edge.apply(lambda: f"{NODE}:8080" in json.dumps(edge.agent.get("/v1/services")), "the node is a backend", backends=(1,),
                       addresses=("10.6.0.{}", "fd06::{}"))
            for url in (f"http://{FRONT}/who", f"http://[{FRONT6}]/who", f"http://{NODE}:{NODE_PORT}/who", f"http://[fd06::1]:{NODE_PORT}/who"):
                wait_until(lambda u=url: world.curl(u, "--connect-timeout", "1") is not None, what=url)
                assert {world.curl(url) for _ in range(4)} == {"node"}, f"{url}: {edge.verdicts()}"
            assert world.datagram(FRONT)[:2] == ["node", CLIENT]
            assert world.datagram(NODE, NODE_PORT)[:2] == ["node", CLIENT]
            # One port of the client's, by turns through the balancer and past it; his clock is one, or the server, which remembers
            # him for a minute, would take a younger SYN for an older one.
            world.client.run("sysctl", "-q", "-w", "net.ipv4.tcp_timestamps=2")
            for turn, address in enumerate(((FRONT, 80), (NODE, 8080)) * 3):
                assert asks(world, address, 45000) == "node", f"{turn}: {address}: {edge.verdicts()}"
            listed = json.dumps(edge.agent.get("/v1/services"))
            assert "itself" not in listed, listed
    finally:
        for server in servers:
            server.kill()
            server.wait()


@test("interfaces by wildcard and by default route are found, also those that come, and left when they are not meant any more", seconds=150)
def chosen(world):
    with Edge(world, interfaces="e*,nothing*", local=(1, 2)) as edge:
        function = edge.function()
        assert function["hook"].startswith("xdp e1 (generic), e2 (generic);") and "no interface is called nothing*" in function["detail"], function
        world.edge.ip("link", "add", "extra", "type", "veth", "peer", "name", "other")
        try:
            wait_until(lambda: "extra (generic)" in edge.function()["hook"], 5, "what comes is taken")
        finally:
            world.edge.ip("link", "del", "extra")
        wait_until(lambda: "extra" not in edge.function()["hook"], 5, "what goes is no failure")
        assert "extra" not in edge.function()["detail"], edge.function()
    with Edge(world, interfaces="auto", local=(1, 2)) as edge:
        assert "no interface has a default route" in edge.function()["detail"], edge.function()
        world.edge.ip("route", "add", "default", "via", "10.6.0.2")
        try:
            wait_until(lambda: edge.function()["hook"].startswith("xdp c0 (generic);"), 15, "the default route's interface")
            both_answer(world, edge)
            world.edge.ip("route", "change", "default", "nexthop", "via", "10.6.0.2", "nexthop", "via", "10.8.1.2")
            wait_until(lambda: edge.function()["hook"].startswith("xdp c0 (generic), e1 (generic);"), 15, "of several next hops all")
            world.edge.ip("route", "change", "default", "via", "10.6.0.2")
            wait_until(lambda: edge.function()["hook"].startswith("xdp c0 (generic);"), 15, "the one that is left")
            world.edge.ip("route", "del", "default")
            wait_until(lambda: "the edge stays where it was" in edge.function()["detail"], 15, "a route that is away for a moment")
            both_answer(world, edge)
            edge.kill()
            edge.start()
            both_answer(world, edge)  # as the one before left it
        finally:
            if "default" in world.edge.ip("route"):
                world.edge.ip("route", "del", "default")
    with Edge(world, interfaces="c0", local=(1, 2)) as edge:
        edge.kill()
        world.edge.ip("link", "set", "c0", "down")
        world.edge.ip("link", "set", "c0", "name", "c1")
        try:
            edge.flags[1] = "e1"
            edge.start()
            assert programs(world) == [("e1", "tcx/egress")], programs(world)
            edge.agent.stop()
            edge.start("--edge-keep-on-exit", "true")
            edge.kill()
            flags, edge.flags = edge.flags, []
            edge.start()
            assert not programs(world) and not [name for name in os.listdir(edge.place.pins) if name.startswith("edge_")], "an agent without an edge"
            edge.flags = flags
        finally:
            world.edge.ip("link", "set", "c1", "name", "c0")
            world.edge.ip("link", "set", "c0", "up")
            world.edge.ip("route", "replace", "10.7.0.0/24", "via", "10.6.0.2")
            world.edge.ip("-6", "address", "replace", "fd06::1/64", "dev", "c0", "nodad")
            world.edge.ip("route", "replace", "fd07::/64", "via", "fd06::2")


@test("a program that somebody takes away is put back; nothing stays when the agent is removed", seconds=60)
def taken_away(world):
    with Edge(world, interfaces="c0", local=(1, 2)) as edge:
        world.edge.run("bpftool", "link", "detach", "pinned", next(
            f"{edge.place.pins}/{name}" for name in os.listdir(edge.place.pins) if name.startswith("edge_if") and name.endswith("_egress")))
        wait_until(lambda: programs(world) == [("c0", "tcx/egress")], 5, "it is back")
        both_answer(world, edge)
        edge.kill()
        assert programs(world) == [("c0", "tcx/egress")], "the kernel goes on"
        world.edge.run(CFAGENT, "--remove", "--pin-path", edge.place.pins)
        assert not programs(world), programs(world)
        assert OWN in world.edge.ip("address"), "nothing else was touched"
