# SPDX-License-Identifier: Apache-2.0
"""The edge between a client and web servers: a namespace each, the agent's program on the interfaces of the one between.

client - router - edge - two backends.  Links are virtual: their packets come without checksums and larger than any wire
takes, unless that is switched off.
"""

import array
import collections
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

import isolation
from agent import Agent, Place, parse_metrics, wait_until
from harness import test
from netns import Namespace, sh

HERE = os.path.dirname(os.path.abspath(__file__))
FRONT, FRONT6 = "203.0.113.10", "2001:db8:113::10"
OWN, OWN6 = "10.9.9.9", "fd09::9"
CLIENT, CLIENT6 = "10.7.0.2", "fd07::2"
NODE, NODE_PORT = "10.6.0.1", 30080
INTERFACES = "c0,e1,e2"
SIOCETHTOOL = 0x8946
SET_TX_CHECKSUM, SET_TSO, SET_GSO, SET_GRO = 0x17, 0x1F, 0x24, 0x2C  # linux/ethtool.h


def set_feature(ns, device, command, value):
    data = array.array("B", struct.pack("II", command, value))
    request = struct.pack("16sP", device.encode(), data.buffer_info()[0])
    with ns.socket() as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, request)


def manifests(mode, backends=(1, 2), draining=(), local=(), deny=None, **spec):
    """A dual-stack web service with a node port, a load balancer's address and UDP beside TCP."""
    target = 8080 if mode == "snat" else 80  # direct return leaves the port as it is
    ports = [{"name": "web", "port": 80, "nodePort": NODE_PORT, "targetPort": target},
             {"name": "datagrams", "protocol": "UDP", "port": 80, "nodePort": NODE_PORT, "targetPort": target}]
    documents = [{
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "LoadBalancer", "clusterIPs": ["10.97.0.1", "fd97::1"], "clusterIP": "10.97.0.1",
                 "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack", "ports": ports, **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": FRONT}, {"ip": FRONT6}]}},
    }]
    for family, address in (("IPv4", "10.8.{}.2"), ("IPv6", "fd08:{}::2")):
        documents.append({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"name": f"web-{family.lower()}", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "web", "port": target}, {"name": "datagrams", "protocol": "UDP", "port": target}],
            "endpoints": [{"addresses": [address.format(n)], "nodeName": "edge" if n in local else "other",
                           "conditions": {"ready": n not in draining, "serving": True, "terminating": n in draining}}
                          for n in sorted({*backends, *draining})],
        })
    if deny is not None:
        documents.append({"apiVersion": "cortexflow.io/v1alpha1", "kind": "DenyList", "metadata": {"name": "them"},
                          "spec": {"entries": deny}})
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents)


class Edge:
    """An agent in the edge's namespace.  Its cgroup root is another than the client's, whose packets come unchanged."""

    def __init__(self, world, forwarding="snat", mode="generic", **wanted):
        self.world, self.forwarding, self.mode = world, forwarding, mode
        self.place = Place()
        os.mkdir(self.place.path("manifests"))
        self.cgroup = f"{isolation.CGROUP}/edge"
        os.mkdir(self.cgroup)
        self.agent = None
        try:
            self._write(manifests(forwarding, **wanted))
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self, *flags):
        self.agent = Agent("--manifests", self.place.path("manifests"), "--edge-interfaces", INTERFACES, "--edge-mode", self.mode,
                           "--edge-forwarding", self.forwarding, "--edge-addresses", f"{OWN},{OWN6}", "--edge-flows", "8192",
                           "--node-name", "edge", *flags, place=self.place,
                           prefix=("nsenter", f"--net={self.world.edge.path}"), cgroup_root=self.cgroup)

    def _write(self, text):
        path = self.place.path("manifests/web.yaml")
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def serving(self):
        """The backends that get new flows, by number."""
        rows = [row for row in self.agent.get("/v1/services")["services"] if row["name"] == "shop/web"]
        return {backend["address"].lstrip("[").replace("fd08:", "10.8.").split(".")[2].split(":")[0]
                for row in rows for backend in row["backends"] if backend["share"] > 0}

    def serve(self, backends=(1, 2), draining=(), **more):
        self._write(manifests(self.forwarding, backends, draining, **more))
        expected = {str(n) for n in backends if n not in draining}
        wait_until(lambda: self.serving() == expected, 5, f"the backends are {expected}")

    def apply(self, then, what, **wanted):
        """For what `serving` doesn't show."""
        self._write(manifests(self.forwarding, **wanted))
        return wait_until(then, 5, what)

    def verdicts(self):
        text = self.world.edge.run("curl", "-s", f"http://{self.place.metrics_listen}/metrics")
        return {**{labels["verdict"]: value for name, labels, value in parse_metrics(text) if name == "cortexflow_edge_packets_total"},
                **{labels["event"]: value for name, labels, value in parse_metrics(text) if name == "cortexflow_edge_events_total"}}

    def function(self):
        return next(f for f in self.agent.status()["functions"] if f["name"] == "edge")

    def kill(self):
        self.agent.signal(signal.SIGKILL)
        self.agent.process.wait(5)

    def close(self):
        try:
            if self.agent:
                self.agent.close()
        finally:
            isolation.remove_cgroup(self.cgroup)
            self.place.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


DATAGRAM_SERVER = """
import socket, sys, threading
def serve(host, port, family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((host, port))
    while True:
        data, client = sock.recvfrom(65536)
        sock.sendto(sys.argv[1].encode() + b" " + client[0].encode() + b" " + str(len(data)).encode(), client)
for one in sys.argv[2:]:
    host, port = one.rsplit(",", 1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    threading.Thread(target=serve, args=(host, int(port), family)).start()
"""


class World:
    """Each backend's servers answer with its number."""

    def __init__(self, stack):
        self.client, self.router, self.edge = (stack.enter_context(Namespace(n)) for n in ("client", "router", "edge"))
        self.backends = {n: stack.enter_context(Namespace(f"back{n}")) for n in (1, 2)}
        self.place = stack.enter_context(Place())
        for ns, name, net, net6, to in ((self.client, "r0", "10.7.0", "fd07:", self.router), (self.router, "c0", "10.6.0", "fd06:", self.edge),
                                        (self.backends[1], "e1", "10.8.1", "fd08:1:", self.edge),
                                        (self.backends[2], "e2", "10.8.2", "fd08:2:", self.edge)):
            sh("ip", "link", "add", "veth0", "netns", ns.name, "type", "veth", "peer", "name", name, "netns", to.name)
            for where, device, last in ((to, name, 1), (ns, "veth0", 2)):
                where.ip("address", "add", f"{net}.{last}/24", "dev", device)
                where.ip("address", "add", f"{net6}:{last}/64", "dev", device, "nodad")
                where.ip("link", "set", device, "up")
                for command in (SET_TX_CHECKSUM, SET_TSO, SET_GSO):
                    set_feature(where, device, command, 0)
            ns.ip("route", "add", "default", "via", f"{net}.1")
            ns.ip("route", "add", "default", "via", f"{net6}:1")
            set_feature(ns, "veth0", SET_GRO, 1)  # else a veth takes no packet that XDP sends to its other end
        self.edge.ip("route", "add", "10.7.0.0/24", "via", "10.6.0.2")
        self.edge.ip("route", "add", "fd07::/64", "via", "fd06::2")
        self.edge.ip("address", "add", f"{OWN}/32", "dev", "lo")
        self.edge.ip("address", "add", f"{OWN6}/128", "dev", "lo", "nodad")
        for ns in (self.edge, self.router):
            ns.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for n, ns in self.backends.items():
            self._serve(stack, n, ns)
        # Link addresses are learned from traffic; the edge's own packets make none.
        for n in self.backends:
            for url in (f"http://10.8.{n}.2:8080/who", f"http://[fd08:{n}::2]:8080/who"):
                wait_until(lambda u=url: self.curl(u, "--connect-timeout", "1") is not None, what=url)

    def _serve(self, stack, n, ns):
        folder = self.place.path(f"www{n}")
        os.mkdir(folder)
        with open(f"{folder}/who", "w", encoding="ascii") as file:
            file.write(str(n))
        with open(f"{folder}/large", "wb") as file:
            file.write(os.urandom(2_000_000))
        # The backend's end of a tunnel, and the frontends' addresses where nobody asks for them.
        ns.ip("address", "add", f"{FRONT}/32", "dev", "lo")
        ns.ip("address", "add", f"{FRONT6}/128", "dev", "lo", "nodad")
        servers = [("python3", "-m", "http.server", "--bind", "::", "--directory", folder, port) for port in (8080, 80)]
        servers.append((sys.executable, "-c", DATAGRAM_SERVER, n, f"10.8.{n}.2,8080", f"fd08:{n}::2,8080", f"{FRONT},80", f"{FRONT6},80"))
        for argv in servers:
            server = ns.popen(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(server.wait)
            stack.callback(server.kill)
        program = self.place.path("tunnel_end.o")
        include = f"/usr/include/{sh('cc', '-print-multiarch').strip()}"
        sh("clang", "-O2", "-g", "-target", "bpf", "-I", include, "-c", f"{HERE}/tunnel_end.bpf.c", "-o", program)
        ns.run("ip", "link", "set", "dev", "veth0", "xdpdrv", "obj", program, "sec", "xdp")

    def curl(self, url, *more):
        """What the server says, or None."""
        done = subprocess.run(self.client.argv("curl", "-s", "-g", "--max-time", "10", *more, url), capture_output=True,
                              text=True, check=False, timeout=15)
        return done.stdout if done.returncode == 0 else None

    def who(self, times=24):
        """Who answers, over both families."""
        urls = [f"http://{FRONT}/who", f"http://[{FRONT6}]/who"]
        return {url: [self.curl(url) for _ in range(times // 2)] for url in urls}

    def datagram(self, address, port=80, size=5, wait=5.0):
        """What is answered to a datagram from a port of its own: who, the client as he saw it, octets; or None."""
        with self.client.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
            sock.settimeout(wait)
            sock.sendto(bytes(size), (address, port))
            try:
                return sock.recv(1000).decode().split()
            except TimeoutError:
                return None


def setup(stack):
    return World(stack)


def all_answer(world, edge, verdicts):
    before = edge.verdicts()
    for url, answers in world.who().items():
        assert None not in answers, f"{url} failed {answers.count(None)} times: {edge.verdicts()}"
        assert set(answers) == {"1", "2"}, f"{url} was answered by {set(answers)}"
    for address in (FRONT, FRONT6):
        answers = [world.datagram(address) for _ in range(12)]
        assert None not in answers, f"datagrams to {address} failed {answers.count(None)} times: {edge.verdicts()}"
        assert {answer[0] for answer in answers} == {"1", "2"}, f"{address}: {answers}"
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
        assert maps["edge_tables"] == 4 and maps["edge_nat"] > 0 and maps["edge_frontends"] > 4, maps


@test("the same where the driver runs the program", seconds=60)
def translation_native(world):
    with Edge(world, mode="native") as edge:
        all_answer(world, edge, ("translated", "replied"))
        assert "c0 (native)" in edge.function()["hook"], edge.function()


@test("a node port answers on the node's addresses, over TCP and UDP", seconds=40)
def node_port(world):
    with Edge(world) as edge:
        for url in (f"http://{NODE}:{NODE_PORT}/who", f"http://[fd06::1]:{NODE_PORT}/who"):
            assert {world.curl(url) for _ in range(12)} == {"1", "2"}, f"{url}: {edge.verdicts()}"
        for address in (NODE, "fd06::1"):
            assert {(world.datagram(address, NODE_PORT) or ["none"])[0] for _ in range(12)} == {"1", "2"}, address


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
    with Edge(world):
        for url in (f"http://{FRONT}/large", f"http://[{FRONT6}]/large"):
            size = world.client.run("curl", "-s", "-g", "--max-time", "20", "-o", "/dev/null", "-w", "%{size_download}", url)
            assert size == "2000000", f"{url}: {size} octets"


@test("an ICMP error about an answer is followed to the server that sent it: a narrow way to the client", seconds=60)
def errors_followed(world):
    with Edge(world) as edge:
        world.router.ip("link", "set", "r0", "mtu", "1300")  # the client itself would take 1500, and says so
        try:
            for url in (f"http://{FRONT}/large", f"http://[{FRONT6}]/large"):
                before = edge.verdicts()["error_followed"]
                size = world.client.run("curl", "-s", "-g", "--max-time", "20", "-o", "/dev/null", "-w", "%{size_download}", url)
                assert size == "2000000", f"{url}: {size} octets: {edge.verdicts()}"
                assert edge.verdicts()["error_followed"] > before, url
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
    with Edge(world, "ipip", backends=(1,)) as edge, world.client.socket(kind=socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect((FRONT, 80))
        sock.sendall(b"GET /who HTTP/1.0\r\nX-Large: " + b"x" * 60_000 + b"\r\n\r\n")
        answer = b""
        while part := sock.recv(4096):
            answer += part
        assert answer.startswith(b"HTTP/1.0 "), answer[:80]
        assert edge.verdicts()["too_big"] > 0


def halves(world, then):
    """What 16 connections come to, between whose halves of a request `then` happens: who answered, or None."""
    socks = [world.client.socket(kind=socket.SOCK_STREAM) for _ in range(16)]
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
