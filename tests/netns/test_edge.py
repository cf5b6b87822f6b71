# SPDX-License-Identifier: Apache-2.0
"""The edge, with real clients and web servers around it (edge_world.py)."""

import collections
import json
import os
import socket
import subprocess
import threading

from agent import wait_until
from edge_world import CLIENT, CLIENT6, FRONT, FRONT6, NODE, NODE_PORT, OWN, Edge, World
from harness import test
from netns import sh


def setup(stack):
    return World(stack)


def all_answer(world, edge, verdicts):
    before = edge.verdicts()
    for url in (f"http://{FRONT}/who", f"http://[{FRONT6}]/who"):
        answers = world.who(url)
        assert set(answers) == {"1", "2"}, f"{url} was answered by {set(answers)}: {edge.verdicts()}"
    for address in (FRONT, FRONT6):
        answers = world.datagrams(address)
        assert {answer[0] for answer in answers} == {"1", "2"}, f"{address}: {answers}: {edge.verdicts()}"
    after = edge.verdicts()
    for verdict in verdicts:
        assert after[verdict] > before[verdict] + 48, f"{verdict}: {before[verdict]} -> {after[verdict]}"


@test("a client reaches both servers at the load balancer's address, over TCP, UDP, IPv4 and IPv6", seconds=60)
def translation(world):
    with Edge(world) as edge:
        all_answer(world, edge, ("translated", "replied"))
        assert world.datagram(FRONT)[1] == OWN, "the backend sees the edge's address"
        function = edge.function()
        assert "e1 (generic)" in function["hook"] and not function["degraded"], function
        maps = {m["name"]: m["entries"] for m in edge.agent.status()["maps"]}
        # 4 ports and families, each at the balancer's address, and at those of the node's that are of the family
        assert maps["edge_tables"] == 4 and maps["edge_nat"] + maps["edge_opening"] > 0 and maps["edge_frontends"] > 4, maps


@test("the same where the driver runs the program", seconds=60)
def translation_native(world):
    with Edge(world, mode="native") as edge:
        all_answer(world, edge, ("translated", "replied"))
        assert "c0 (native)" in edge.function()["hook"], edge.function()


@test("a node port answers on the node's addresses, over TCP and UDP", seconds=40)
def node_port(world):
    with Edge(world) as edge:
        for url in (f"http://{NODE}:{NODE_PORT}/who", f"http://[fd06::1]:{NODE_PORT}/who"):
            assert set(world.who(url)) == {"1", "2"}, f"{url}: {edge.verdicts()}"
        for address in (NODE, "fd06::1"):
            assert {answer[0] for answer in world.datagrams(address, NODE_PORT)} == {"1", "2"}, address


@test("with direct return the servers answer the client themselves, by IP in IP and by GUE", seconds=90)
def direct_return(world):
    for mode in ("generic", "native"):
        for forwarding in ("ipip", "gue"):
            with Edge(world, forwarding, mode) as edge:
                all_answer(world, edge, ("tunnelled",))
                assert edge.verdicts()["replied"] == 0
                assert world.datagram(FRONT)[1] == CLIENT, "the backend sees the client's address"


@test("under externalTrafficPolicy: Local this node's backends alone are reached, and see the client's address", seconds=40)
def local(world):
    with Edge(world, local=(1,), externalTrafficPolicy="Local") as edge:
        assert {world.curl(f"http://{FRONT}/who") for _ in range(12)} == {"1"}, edge.verdicts()
        assert {world.curl(f"http://[{FRONT6}]/who") for _ in range(12)} == {"1"}, edge.verdicts()
        assert world.datagram(FRONT)[:2] == ["1", CLIENT]
        assert world.datagram(FRONT6)[:2] == ["1", CLIENT6]
        edge.apply(lambda: world.datagram(FRONT, wait=0.5) is None, "a node without backends drops", externalTrafficPolicy="Local")
        assert edge.verdicts()["no_backend"] > 0


@test("a download through translation arrives whole", seconds=40)
def download(world):
    with Edge(world) as edge:
        world.download(edge)


@test("an ICMP error about an answer is followed to the server that sent it: a narrow way to the client", seconds=60)
def errors_followed(world):
    with Edge(world) as edge:
        world.router.ip("link", "set", "r0", "mtu", "1300")  # the client itself would take 1500, and says so
        try:
            world.download(edge)
            assert edge.verdicts()["error_followed"] >= 2, edge.verdicts()  # one a family
        finally:
            world.router.ip("link", "set", "r0", "mtu", "1500")


@test("large datagrams arrive in fragments and are put together by the server", seconds=40)
def fragments(world):
    with Edge(world) as edge:
        for address in (FRONT, FRONT6):
            answers = [world.datagram(address, size=4000) for _ in range(4)]
            assert None not in answers and {answer[2] for answer in answers} == {"4000"}, f"{address}: {answers} {edge.verdicts()}"
        assert edge.verdicts()["fragment"] >= 8


@test("a large upload into a tunnel is told the tunnel's size by ICMP, and arrives", seconds=40)
def too_big(world):
    with Edge(world, "ipip", backends=(1,)) as edge:
        world.upload(FRONT)
        assert edge.verdicts()["too_big"] > 0


def halves(world, then):
    """What 24 connections come to, between whose halves of a request `then` happens: who answered, or None."""
    socks = [world.client.socket(kind=socket.SOCK_STREAM) for _ in range(24)]
    for sock in socks:
        sock.connect((FRONT, 80))
        sock.sendall(b"GET /wh")
    then()
    answers = []
    for sock in socks:
        with sock:
            answer = b""
            try:
                sock.sendall(b"o HTTP/1.0\r\n\r\n")
                while part := sock.recv(4096):
                    answer += part
            except ConnectionError:
                pass
            except TimeoutError:
                answer = b"no answer"
            answers.append(answer.split()[-1].decode() if answer else None)
    return answers


@test("connections stay with a server when the other leaves, and with both when one drains", seconds=60)
def kept(world):
    for forwarding in ("snat", "ipip"):
        with Edge(world, forwarding) as edge:
            answers = halves(world, lambda e=edge: e.serve(draining=(2,)))
            assert set(answers) == {"1", "2"}, f"{forwarding}, draining: {answers}"
            assert {world.curl(f"http://{FRONT}/who") for _ in range(8)} == {"1"}, f"{forwarding}: new ones go to who drains"
            edge.serve()
            answers = halves(world, lambda e=edge: e.serve(backends=(1,)))
            assert set(answers) == {"1", None}, f"{forwarding}, gone: {answers} {edge.verdicts()}"
            assert {world.curl(f"http://{FRONT}/who") for _ in range(8)} == {"1"}, forwarding


@test("whom a DenyList names gets no answer, and others do; Audit only counts; a bad document is refused with its line", seconds=60)
def denied(world):
    with Edge(world, deny=[{"cidr": "10.7.0.0/24"}]) as edge:
        assert world.curl(f"http://{FRONT}/who", "--connect-timeout", "1") is None
        assert world.curl(f"http://[{FRONT6}]/who") in ("1", "2")
        assert edge.verdicts()["denied"] > 0
        edge.apply(lambda: world.datagram(FRONT, wait=0.5), "another port's entry lets this one pass", deny=[{"cidr": "10.7.0.0/24", "ports": [81]}])
        audited = edge.verdicts()["audited"]
        edge.apply(lambda: world.datagram(FRONT) and edge.verdicts()["audited"] > audited, "what would be denied is counted",
                   deny=[{"cidr": CLIENT, "mode": "Audit"}])
        refusals = edge.apply(lambda: edge.agent.get("/v1/services")["refusals"], "a refusal", deny=[{"cidr": "10.7.0.1/24"}])
        assert "web.yaml:" in refusals[0] and "DenyList them: spec.entries[0].cidr: " in refusals[0], refusals
        edge.apply(lambda: world.datagram(FRONT, wait=0.5) is None, "answers are denied too",
                   deny=[{"cidr": "10.7.0.0/24", "direction": "Out", "expires": "2199-01-01T00:00:00Z"}])
        edge.apply(lambda: world.datagram(FRONT, wait=0.5), "an entry that has expired denies nobody",
                   deny=[{"cidr": "10.7.0.0/24", "direction": "Both", "expires": "2001-01-01T00:00:00Z"}])


@test("an operator's blocklist works at once and outlives the agent; it expires, and is taken back by remove-ip", seconds=60)
def blocklist(world):
    with Edge(world) as edge:
        def cfcli(*args, status=0):
            done = edge.agent.cfcli("policy", *args)
            assert done.returncode == status, done
            return done.stdout + done.stderr

        assert CLIENT in cfcli("create-blocklist", CLIENT, "198.51.100.0/24", "--port", "80", "--port", "81")
        assert world.datagram(FRONT, wait=0.5) is None
        assert world.datagram(NODE, NODE_PORT), "another port"
        edge.agent.stop()
        edge.start()
        assert world.datagram(FRONT, wait=0.5) is None, "forgotten"
        rows = json.loads(cfcli("check-blocklist", CLIENT, "-o", "json"))
        assert [(row["cidr"], row["ports"], row["origin"]) for row in rows["entries"]] == [(f"{CLIENT}/32", [80, 81], "operator")], rows
        assert rows["denied"] > 0 and "c0" in rows["hook"], rows
        cfcli("remove-ip", CLIENT)
        assert world.datagram(FRONT)
        assert "the operator's list has no" in cfcli("remove-ip", CLIENT, status=1)
        cfcli("create-blocklist", CLIENT, "--for", "1500ms")
        assert world.datagram(FRONT, wait=0.5) is None
        wait_until(lambda: world.datagram(FRONT, wait=0.5), 5, "the entry expires")
        assert CLIENT not in cfcli("check-blocklist"), "it is listed though it is over"
        assert "zeros behind the prefix" in cfcli("create-blocklist", "10.7.0.1/24", status=1)


class Calls(threading.Thread):
    """Goes on calling until it is stopped; `failed` has what went wrong."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.failed, self.reached, self.on = world, [], collections.Counter(), True
        self.start()

    def run(self):
        while self.on:
            for url in (f"http://{FRONT}/who?[1-10]", rf"http://\[{FRONT6}\]/who?[1-10]"):
                argv = self.world.client.argv("curl", "-sS", "--fail", "--max-time", "5", url)
                done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
                self.reached.update(done.stdout)
                if done.returncode != 0:
                    self.failed.append(f"{url}: {done.stderr}")

    def end(self):
        self.on = False
        self.join(60)
        assert not self.failed, self.failed[:3]
        return self.reached


@test("the agent is killed under load: no call fails, a download goes on, and the next one takes over what is there", seconds=90)
def killed(world):
    for forwarding in ("snat", "ipip"):
        with Edge(world, forwarding) as edge:
            calls = Calls(world)
            slow = world.client.popen("curl", "-s", "--max-time", "30", "--limit-rate", "800k", "-o", "/dev/null", "-w", "%{size_download}",
                                      f"http://{FRONT}/large", stdout=subprocess.PIPE, text=True)
            wait_until(lambda c=calls: sum(c.reached.values()) > 20, 10, "calls are answered")
            verdict = "translated" if forwarding == "snat" else "tunnelled"
            before = edge.verdicts()[verdict]
            edge.kill()
            reached = sum(calls.reached.values())
            wait_until(lambda c=calls, r=reached: sum(c.reached.values()) > r + 40 or c.failed, 20, "the kernel goes on alone")
            edge.start()
            assert edge.verdicts()[verdict] > before, "the counters began anew"
            reached = sum(calls.reached.values())
            wait_until(lambda c=calls, r=reached: sum(c.reached.values()) > r + 40 or c.failed, 20, "calls are answered after")
            assert slow.communicate(timeout=30)[0] == "2000000"
            assert set(calls.end()) == {"1", "2"}


@test("an agent that ends takes the edge along, unless it is told to leave it", seconds=60)
def ends(world):
    with Edge(world) as edge:
        edge.agent.stop()
        assert world.curl(f"http://{FRONT}/who", "--connect-timeout", "1") is None
        assert not os.path.exists(edge.place.pins), os.listdir(edge.place.pins)
        edge.start("--edge-keep-on-exit", "true")
        edge.agent.stop()
        assert world.curl(f"http://{FRONT}/who") in ("1", "2")
        edge.start()
        assert world.curl(f"http://{FRONT}/who") in ("1", "2")


@test("an interface that is missing is said, and taken once it is there", seconds=40)
def missing_interface(world):
    world.edge.ip("link", "set", "e2", "down")
    world.edge.ip("link", "set", "e2", "name", "other")
    try:
        with Edge(world) as edge:
            function = edge.function()
            assert function["degraded"] and "no interface e2" in function["detail"], function
            assert "c0 (generic)" in function["hook"], function
            world.edge.ip("link", "set", "other", "name", "e2")
            wait_until(lambda: "e2 (generic)" in edge.function()["hook"], 5, "e2 is taken")
            assert not edge.function()["degraded"], edge.function()
    finally:
        if "other" in world.edge.ip("link"):
            world.edge.ip("link", "set", "other", "name", "e2")
        world.edge.ip("link", "set", "e2", "up")


@test("what a full table of the kernel refuses is said, and written once there is room", seconds=90)
def refused_writes(world):
    with Edge(world) as edge:
        ranges = f"{edge.place.pins}/edge_ranges"

        def strangers(verb, tail):
            """65,536 entries that somebody else put there, of a service that there is not."""
            rows = (f"map {verb} pinned {ranges} key hex a0 00 00 00 ff ff ff 00 {'00 ' * 10} ff ff 09 {n >> 16:02x} {n >> 8 & 255:02x} {n & 255:02x}{tail}"
                    for n in range(65536))
            sh("bpftool", "batch", "file", edge.place.path("rows", "\n".join(rows) + "\n"), timeout=60)

        strangers("update", " value hex 01 00 00 00")
        edge.apply(lambda: "edge_ranges" in edge.function()["detail"], "the refusal is said", loadBalancerSourceRanges=["10.7.0.0/24"])
        assert edge.function()["degraded"] and "tried again" in edge.function()["detail"], edge.function()
        assert world.datagram(FRONT, wait=0.5) is None, "whom no range names gets in"
        strangers("delete", "")
        wait_until(lambda: not edge.function()["degraded"], 10, "it is written")
        assert world.datagram(FRONT) and world.datagram(FRONT6, wait=0.5) is None
