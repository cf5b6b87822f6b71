# SPDX-License-Identifier: Apache-2.0
"""A server, a caller that may and one that may not, each in a namespace of its own, and the agent that enforces."""

import os
import socket
import threading

from agent import Agent, Place, total, wait_until
from netns import Namespace, veth

CART = "10.71.0.2"


def pod(name, address, account="default", labels=None, netns=None, ns="shop"):
    annotations = {"cortexflow.io/netns": netns} if netns else {}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": ns, "labels": labels or {}, "annotations": annotations},
            "spec": {"serviceAccountName": account}, "status": {"podIP": address} if address else {}}


def policy(name, ns="shop", **spec):
    return {"apiVersion": "cortexflow.io/v1alpha1", "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "namespace": ns}, "spec": spec}


def allow(name, source=None, **more):
    rule = {"from": [{"source": source}]} if source else {}
    return policy(name, rules=[{**rule, **({"to": [{"operation": more}]} if more else {})}])


PODS = [pod("cart", CART, labels={"app": "cart"}), pod("web", "10.71.0.1", account="web", labels={"app": "web"}),
        pod("thief", "10.71.1.1", account="thief")]


class World:
    """cart serves; web calls it over one wire, thief over another."""

    def __init__(self, stack):
        self.place = stack.enter_context(Place())
        self.cart, self.web, self.thief = (stack.enter_context(Namespace(n)) for n in ("cart", "web", "thief"))
        veth(self.cart, self.web, [f"{CART}/24", "fd71::2/64"], ["10.71.0.1/24", "fd71::1/64"], name="web")
        veth(self.cart, self.thief, ["10.71.1.2/24"], ["10.71.1.1/24"], name="thief")
        self.thief.ip("route", "add", CART, "via", "10.71.1.2")
        os.mkdir(self.place.path("manifests"))
        self.text = None
        self.apply([], [])
        self.agent = None
        self.start()
        stack.callback(lambda: self.agent.close())
        self.threads = []
        self.listener = self.listen(socket.SOCK_STREAM, 8080)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        self.udp = self.listen(socket.SOCK_DGRAM, 5353)
        threading.Thread(target=self.answer, daemon=True).start()
        stack.callback(self.udp.close)
        stack.callback(self.listener.close)

    def start(self, *flags):
        self.agent = Agent("--manifests", self.place.path("manifests"), *flags, place=self.place)

    def listen(self, kind, port):
        made = self.cart.socket(socket.AF_INET6, kind)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.settimeout(None)
        made.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            made.listen(64)
        return made

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(connection,), daemon=True).start()

    @staticmethod
    def echo(connection):
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError:
                pass

    def answer(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
                self.udp.sendto(data, peer)
            except OSError:
                return

    def write(self, documents):
        self.place.write("manifests/all.yaml", documents)

    def apply(self, policies, pods=None):
        self.write((PODS if pods is None else pods) + policies)

    def connect(self, who, port=8080, address=CART, timeout=0.7):
        made = who.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(timeout)
        try:
            made.connect((address, port))
        except OSError:
            made.close()
            return None
        return made

    def talks(self, connection, timeout=0.7):
        """The other end answers; a retransmission that was let through later counts as well."""
        connection.settimeout(timeout)
        try:
            connection.sendall(b"x")
            return connection.recv(100) != b""
        except TimeoutError:
            return False

    def reaches(self, who, **more):
        connection = self.connect(who, **more)
        if not connection:
            return False
        with connection:
            return self.talks(connection)

    def asks(self, who, address=CART):
        with who.socket() as made:
            made.settimeout(0.5)
            try:
                made.sendto(b"?", (address, 5353))
                return made.recv(10) == b"?"
            except (TimeoutError, PermissionError):
                return False

    def becomes(self, web, thief):
        wait_until(lambda: (self.reaches(self.web), self.reaches(self.thief)) == (web, thief), 10,
                   f"web: {web}, thief: {thief}; {self.agent.log()[-600:]}")

    def verdict(self, name):
        return total(self.agent.metrics(), "cortexflow_policy_verdicts_total", verdict=name)
