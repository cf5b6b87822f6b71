# SPDX-License-Identifier: Apache-2.0
"""The edge between a client and web servers: a namespace each, the agent's program on the interfaces of the one between.

client - router - edge - two backends.  Links are virtual: their packets come without checksums and larger than any wire
takes, unless that is switched off.
"""

import array
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys

import isolation
from agent import Agent, Place, parse_metrics, wait_until
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


def manifests(mode, backends=(1, 2), draining=(), local=(), deny=None,
              addresses=("10.8.{}.2", "fd08:{}::2"), **spec):
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
    for family, address in zip(("IPv4", "IPv6"), addresses):
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


class Node:
    """An agent's manifests, state and cgroup, which outlive it.  The cgroup is not its clients', whose packets come unchanged."""

    def __init__(self, name):
        self.agent = None
        self.place = Place()
        os.mkdir(self.place.path("manifests"))
        self.cgroup = f"{isolation.CGROUP}/{name}"
        os.mkdir(self.cgroup)

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


class Edge(Node):
    """An agent in the edge's namespace."""

    def __init__(self, world, forwarding="snat", mode="generic", interfaces=INTERFACES, addresses=f"{OWN},{OWN6}", **wanted):
        super().__init__("edge")
        self.world, self.forwarding, self.mode = world, forwarding, mode
        self.flags = ["--edge-interfaces", interfaces, *(["--edge-addresses", addresses] if addresses else [])]
        try:
            self._write(manifests(forwarding, **wanted))
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self, *flags):
        self.agent = Agent("--manifests", self.place.path("manifests"), *self.flags, "--edge-mode", self.mode,
                           "--edge-forwarding", self.forwarding, "--edge-flows", "8192",
                           "--node-name", "edge", *flags, place=self.place,
                           prefix=("nsenter", f"--net={self.world.edge.path}"), cgroup_root=self.cgroup)

    def _write(self, text):
        self.place.write("manifests/web.yaml", text)

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


def several(ask, least=12, most=64):
    """What `ask` gives, `least` times, and again until two differ: who is asked is drawn by a hash."""
    answers = [ask() for _ in range(least)]
    while len(set(answers)) == 1 and len(answers) < most:
        answers.append(ask())
    return answers


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

    def who(self, url):
        """Who answers."""
        return several(lambda: self.curl(url))

    def download(self, edge):
        """A large file, over both families."""
        for url in (f"http://{FRONT}/large", f"http://[{FRONT6}]/large"):
            size = self.client.run("curl", "-s", "-g", "--max-time", "20", "-o", "/dev/null", "-w", "%{size_download}", url)
            assert size == "2000000", f"{url}: {size} octets: {edge.verdicts()}"

    def upload(self, address):
        """A large request is answered."""
        with self.client.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(20)
            sock.connect((address, 80))
            sock.sendall(b"GET /who HTTP/1.0\r\nX-Large: " + b"x" * 60_000 + b"\r\n\r\n")
            answer = b""
            while part := sock.recv(65536):
                answer += part
            assert answer.startswith(b"HTTP/1.0 "), answer[:80]

    def datagrams(self, address, port=80):
        """What is answered to several."""
        return several(lambda: tuple(self.datagram(address, port) or ("none", "")))

    def datagram(self, address, port=80, size=5, wait=5.0):
        """What is answered to a datagram from a port of its own: who, the client as he saw it, octets; or None."""
        with self.client.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
            sock.settimeout(wait)
            sock.sendto(bytes(size), (address, port))
            try:
                return sock.recv(1000).decode().split()
            except TimeoutError:
                return None
