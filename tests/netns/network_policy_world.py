# SPDX-License-Identifier: Apache-2.0
"""A node with pods as a cluster has them: each behind a wire of its own, known by its address alone, and somebody outside.
The node is this run's own network namespace; its agent enforces."""

import http.server
import os
import socket
import subprocess
import threading

from agent import Agent, Place, total, wait_until
from dnsserver import Server
from netns import Namespace, sh

PODS = {"cart": ("shop", {"app": "cart"}), "web": ("shop", {"app": "web"}), "db": ("other", {"app": "db"})}
ADDRESS = {name: f"10.72.{number}.2" for number, name in enumerate([*PODS, "outside"], 1)}
ADDRESS6 = {name: f"fd72:{number}::2" for number, name in enumerate([*PODS, "outside"], 1)}
NODE = {name: f"10.72.{number}.1" for number, name in enumerate([*PODS, "outside"], 1)}
HTTP, ADMIN, DNS = 8080, 9090, 53


def pod(name, **more):
    ns, labels = PODS[name]
    ports = [{"name": "http", "containerPort": HTTP}, {"name": "dns", "containerPort": DNS, "protocol": "UDP"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": ns, "labels": labels, **more},
            "spec": {"containers": [{"name": "main", "ports": ports}]},
            "status": {"podIP": ADDRESS[name], "podIPs": [{"ip": ADDRESS[name]}, {"ip": ADDRESS6[name]}]}}


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def network_policy(name, ns="shop", **spec):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": ns},
            "spec": {"podSelector": {}, **spec}}


def of(**labels):
    return {"podSelector": {"matchLabels": labels}}


def everywhere(**labels):
    return {"namespaceSelector": {"matchLabels": labels}}


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Pages(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Connections are cut on purpose."""


class World:
    def __init__(self, stack):
        self.place = stack.enter_context(Place())
        self.pods = {}
        for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            with open(f"/proc/sys/net/{path}", "w", encoding="ascii") as setting:
                setting.write("1")
        for number, name in enumerate(ADDRESS, 1):
            self.pods[name] = stack.enter_context(Namespace(name))
            self.wire(stack, self.pods[name], number)
        self.servers = []
        for name, ns in self.pods.items():
            for port in (HTTP, ADMIN):
                self.serve(stack, ns, port)
            stack.enter_context(Server(ns, ADDRESS[name], DNS))
        os.mkdir(self.place.path("manifests"))
        self.apply()
        self.agent = None
        self.start()
        stack.callback(lambda: self.agent.close())

    def wire(self, stack, ns, number):
        device = f"pod{number}"
        sh("ip", "link", "add", device, "type", "veth", "peer", "name", "veth0", "netns", ns.name)
        stack.callback(subprocess.run, ["ip", "link", "del", device], capture_output=True, check=False)
        sh("ip", "address", "add", f"10.72.{number}.1/24", "dev", device)
        sh("ip", "address", "add", f"fd72:{number}::1/64", "dev", device, "nodad")
        sh("ip", "link", "set", device, "up")
        ns.ip("address", "add", f"10.72.{number}.2/24", "dev", "veth0")
        ns.ip("address", "add", f"fd72:{number}::2/64", "dev", "veth0", "nodad")
        ns.ip("link", "set", "veth0", "up")
        ns.ip("route", "add", "default", "via", f"10.72.{number}.1")
        ns.ip("route", "add", "default", "via", f"fd72:{number}::1")

    def serve(self, stack, ns, port):
        server = Pages(("", 0), Page, bind_and_activate=False)
        server.socket.close()
        server.socket = ns.socket(socket.AF_INET6, socket.SOCK_STREAM)
        server.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.socket.settimeout(None)
        server.socket.bind(("::", port))
        server.socket.listen(64)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)

    def start(self, *flags):
        self.agent = Agent("--manifests", self.place.path("manifests"), *flags, place=self.place)

    def kill(self):
        self.agent.process.kill()
        self.agent.process.wait(5)

    def apply(self, *policies, other=None, pods=None):
        """What there is: these policies, the pods, and the namespaces, of which `other` has those labels."""
        documents = [namespace("shop", team="a"), namespace("other", **({"team": "b"} if other is None else other)),
                     *([pod(name) for name in PODS] if pods is None else pods), *policies]
        self.place.write("manifests/all.yaml", documents)

    def argv(self, who, *argv):
        return ["ip", "netns", "exec", self.pods[who].name, *argv] if who != "node" else list(argv)

    def curl(self, who, to, port=HTTP, seconds="0.7", six=False):
        """curl's exit status and how long it took; 0: the page came."""
        host = f"[{ADDRESS6[to]}]" if six else ADDRESS.get(to, to)
        done = subprocess.run(self.argv(who, "curl", "-s", "-g", "--max-time", seconds, "-w", "\n%{errormsg}", f"http://{host}:{port}/"),
                              capture_output=True, text=True, check=False, timeout=20)
        return done.returncode, done.stdout

    def reaches(self, who, to, **more):
        return self.curl(who, to, **more)[0] == 0

    def digs(self, who, to):
        """Whether the name server answers, and what dig says."""
        argv = self.argv(who, "dig", "+tries=1", "+timeout=1", "+short", f"@{ADDRESS[to]}", "a.example")
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        return done.returncode == 0 and bool(done.stdout.strip()), done.stdout + done.stderr

    def becomes(self, wanted, **more):
        """Each (who, to): whether it reaches it."""
        def now():
            return {pair: self.reaches(*pair, **more) for pair in wanted}

        try:
            wait_until(lambda: now() == wanted, 12, "who reaches whom")
        except AssertionError as error:
            raise AssertionError(f"{now()} instead of {wanted}; {self.agent.log()[-800:]}") from error

    def verdict(self, name, direction):
        return total(self.agent.metrics(), "cortexflow_policy_verdicts_total", verdict=name, direction=direction)
