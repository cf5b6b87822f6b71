# SPDX-License-Identifier: Apache-2.0
"""The edge between a client and web servers: a namespace each, the edge's program on the interfaces of the one between.

Links are virtual: their packets come without checksums and larger than any wire takes, unless that is switched off.
"""

import array
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess

from agent import BUILD, Place, wait_until
from harness import test
from netns import Namespace, sh

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVER = os.path.join(BUILD, "tests", "edge_driver")
FRONT, FRONT6 = "203.0.113.10", "2001:db8:113::10"
OWN, OWN6 = "10.9.9.9", "fd09::9"
CLIENT, CLIENT6 = "10.7.0.2", "fd07::2"
SIOCETHTOOL = 0x8946
SET_TX_CHECKSUM, SET_TSO, SET_GSO, SET_GRO = 0x17, 0x1F, 0x24, 0x2C  # linux/ethtool.h
# enum cf_edge_counter, in its order
VERDICTS = re.findall(r"CF_EDGE_([VC]_\w+)", re.search(
    r"enum cf_edge_counter \{(.*?)\};", open(os.path.join(HERE, "../../bpf/abi/edge.h"), encoding="ascii").read(), re.S)[1])
VERDICTS = [name for i, name in enumerate(VERDICTS) if name not in VERDICTS[:i]]


def set_feature(ns, command, value):
    data = array.array("B", struct.pack("II", command, value))
    request = struct.pack("16sP", b"veth0", data.buffer_info()[0])
    with ns.socket() as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, request)


class Edge:
    """The program on the interfaces of its namespace, through the test driver."""

    def __init__(self, ns, native):
        self.place = Place()
        self.ns = ns
        os.mkdir(self.place.pins)
        self.process = ns.popen(DRIVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.say({"pins": self.place.pins, "interfaces": ["c0", "e1", "e2"], "native": native, "address4": OWN,
                  "address6": OWN6, "services": []})

    def say(self, wanted):
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"edge_driver ended with {self.process.wait()}"
        return dict(zip(VERDICTS, json.loads(line)))

    def serve(self, mode, backends=(1, 2), draining=(), **more):
        services = []
        for front, address, family in ((FRONT, "10.8.{}.2", 4), (FRONT6, "fd08:{}::2", 6)):
            for protocol in ("tcp", "udp"):
                services.append({"name": f"web{family}{protocol}", "protocol": protocol, "mode": mode,
                                 "frontends": [[front, 80]],
                                 "backends": [{"address": address.format(n), "port": 8080 if mode == "nat" else 80,
                                               "draining": n in draining} for n in backends]})
        return self.say({"services": services, **more})

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(timeout=10)
        self.place.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class World:
    """client - edge - two backends; each backend's server answers with its number."""

    def __init__(self, stack):
        self.client, self.edge = (stack.enter_context(Namespace(n)) for n in ("client", "edge"))
        self.backends = {n: stack.enter_context(Namespace(f"back{n}")) for n in (1, 2)}
        self.place = stack.enter_context(Place())
        for ns, name, net, net6 in ((self.client, "c0", "10.7.0", "fd07:"), (self.backends[1], "e1", "10.8.1", "fd08:1:"),
                                    (self.backends[2], "e2", "10.8.2", "fd08:2:")):
            sh("ip", "link", "add", "veth0", "netns", ns.name, "type", "veth", "peer", "name", name, "netns", self.edge.name)
            for where, device, last in ((self.edge, name, 1), (ns, "veth0", 2)):
                where.ip("address", "add", f"{net}.{last}/24", "dev", device)
                where.ip("address", "add", f"{net6}:{last}/64", "dev", device, "nodad")
                where.ip("link", "set", device, "up")
            ns.ip("route", "add", "default", "via", f"{net}.1")
            ns.ip("route", "add", "default", "via", f"{net6}:1")
            for command in (SET_TX_CHECKSUM, SET_TSO, SET_GSO):
                set_feature(ns, command, 0)
            set_feature(ns, SET_GRO, 1)  # else a veth takes no packet that XDP sends to its other end
        self.edge.ip("address", "add", f"{OWN}/32", "dev", "lo")
        self.edge.ip("address", "add", f"{OWN6}/128", "dev", "lo", "nodad")
        self.edge.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
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
        for port in (8080, 80):
            server = ns.popen("python3", "-m", "http.server", "--bind", "::", "--directory", folder, port,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(server.wait)
            stack.callback(server.kill)
        # The backend's end of a tunnel, and the frontends' addresses where nobody asks for them.
        ns.ip("address", "add", f"{FRONT}/32", "dev", "lo")
        ns.ip("address", "add", f"{FRONT6}/128", "dev", "lo", "nodad")
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


def setup(stack):
    return World(stack)


def both_answer(world, edge, mode, verdicts):
    before = edge.serve(mode)
    for url, answers in world.who().items():
        assert None not in answers, f"{url} failed {answers.count(None)} times: {edge.say({})}"
        assert set(answers) == {"1", "2"}, f"{url} was answered by {set(answers)}"
    after = edge.say({})
    for verdict in verdicts:
        assert after[verdict] > before[verdict] + 24, f"{verdict}: {before[verdict]} -> {after[verdict]}"


@test("a client reaches both web servers through translation, over IPv4 and IPv6", seconds=40)
def translation(world):
    with Edge(world.edge, native=False) as edge:
        both_answer(world, edge, "nat", ("V_TRANSLATED", "V_REPLIED"))


@test("the same where the driver runs the program", seconds=40)
def translation_native(world):
    with Edge(world.edge, native=True) as edge:
        both_answer(world, edge, "nat", ("V_TRANSLATED", "V_REPLIED"))


@test("with direct return the servers answer the client themselves, by IP in IP and by GUE", seconds=60)
def direct_return(world):
    for native in (False, True):
        with Edge(world.edge, native) as edge:
            for mode in ("ipip", "gue"):
                both_answer(world, edge, mode, ("V_TUNNELLED",))
            assert edge.say({})["V_REPLIED"] == 0


@test("a download through translation arrives whole", seconds=40)
def download(world):
    with Edge(world.edge, native=False) as edge:
        edge.serve("nat")
        for url in (f"http://{FRONT}/large", f"http://[{FRONT6}]/large"):
            size = world.client.run("curl", "-s", "-g", "--max-time", "20", "-o", "/dev/null", "-w", "%{size_download}", url)
            assert size == "2000000", f"{url}: {size} octets"


@test("a large upload into a tunnel is told the tunnel's size by ICMP, and arrives", seconds=40)
def too_big(world):
    with Edge(world.edge, native=False) as edge:
        edge.serve("ipip", backends=(1,))
        with world.backends[1].entered():
            sink = socket.create_server((FRONT, 81))
        with sink, world.client.socket(kind=socket.SOCK_STREAM) as sock:
            edge.say({"services": [{"name": "sink", "mode": "ipip", "frontends": [[FRONT, 81]],
                                    "backends": [{"address": "10.8.1.2", "port": 81}]}]})
            sock.settimeout(20)
            sock.connect((FRONT, 81))
            peer, address = sink.accept()
            assert address[0] == CLIENT, f"the backend sees {address[0]}"
            with peer:
                peer.settimeout(20)
                sock.sendall(bytes(200_000))
                got = 0
                while got < 200_000:
                    got += len(peer.recv(65536))
        assert edge.say({})["V_TOO_BIG"] > 0


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
            answers.append(answer[-1:].decode() or None)
    return answers


@test("connections stay with a server when the other leaves, and with both when one drains", seconds=40)
def kept(world):
    for mode in ("nat", "ipip"):
        with Edge(world.edge, native=False) as edge:
            edge.serve(mode)
            answers = halves(world, lambda e=edge, m=mode: e.serve(m, draining=(2,)))
            assert set(answers) == {"1", "2"}, f"{mode}, draining: {answers}"
            assert {world.curl(f"http://{FRONT}/who") for _ in range(8)} == {"1"}, f"{mode}: new ones go to who drains"
            edge.serve(mode)
            answers = halves(world, lambda e=edge, m=mode: e.serve(m, backends=(1,)))
            assert set(answers) == {"1", None}, f"{mode}, gone: {answers}"
            assert {world.curl(f"http://{FRONT}/who") for _ in range(8)} == {"1"}, mode


@test("whom the deny list names gets no answer, and others do", seconds=40)
def denied(world):
    with Edge(world.edge, native=False) as edge:
        edge.serve("nat", deny=[{"prefix": "10.7.0.0", "length": 24}])
        assert world.curl(f"http://{FRONT}/who", "--connect-timeout", "1") is None
        assert world.curl(f"http://[{FRONT6}]/who") in ("1", "2")
        assert edge.say({})["V_DENIED"] > 0
        edge.say({"deny": []})
        assert world.curl(f"http://{FRONT}/who") in ("1", "2")


@test("the program works on when the process that loaded it is killed, and one that comes back takes it over", seconds=40)
def killed(world):
    with Edge(world.edge, native=False) as edge:
        edge.serve("nat")
        os.kill(edge.process.pid, signal.SIGKILL)
        edge.process.wait()
        assert world.curl(f"http://{FRONT}/who") in ("1", "2")
        edge.process = world.edge.popen(DRIVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        counters = edge.say({"pins": edge.place.pins, "interfaces": ["c0", "e1", "e2"], "address4": OWN, "address6": OWN6})
        assert counters["V_TRANSLATED"] > 0, "the counters began anew"
        assert world.curl(f"http://{FRONT}/who") in ("1", "2")
    assert world.curl(f"http://{FRONT}/who", "--connect-timeout", "1") is None, "it is still attached"
