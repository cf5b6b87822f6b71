# SPDX-License-Identifier: Apache-2.0
"""A caller whose sockets no cgroup hook sees, its services, and backends behind veths of a routing node."""

import collections
import hashlib
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import isolation
from agent import Agent, Place, wait_until
from netns import Namespace, bound_to_us, sh

SERVICE, SERVICE6 = "10.98.0.1", "fd98::1"
UDP_SERVICE = "10.98.0.2"
CALLER = "10.98.100.2"
BACKENDS = 3
NARROW = 1300
DIGEST = """
import hashlib, socket
s = socket.create_server(("::", 8081), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    peer, _ = s.accept()
    digest = hashlib.sha256()
    while data := peer.recv(65536):
        digest.update(data)
    peer.sendall(digest.hexdigest().encode())
    peer.close()
"""
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 9000))
while True:
    data, peer = s.recvfrom(65535)
    s.sendto(sys.argv[1].encode() + data, peer)
"""


def join(namespace, name, number):
    """A veth from the agent's namespace, which routes, to one of a workload."""
    sh("ip", "link", "add", name, "type", "veth", "peer", "name", "veth0", "netns", namespace.name)
    sh("ip", "address", "add", f"10.98.{number}.1/24", "dev", name)
    sh("ip", "address", "add", f"fd98:{number}::1/64", "dev", name, "nodad")
    sh("ip", "link", "set", name, "up")
    namespace.ip("address", "add", f"10.98.{number}.2/24", "dev", "veth0")
    namespace.ip("address", "add", f"fd98:{number}::2/64", "dev", "veth0", "nodad")
    namespace.ip("link", "set", "veth0", "up")
    namespace.ip("route", "add", "default", "via", f"10.98.{number}.1")
    namespace.ip("route", "add", "default", "via", f"fd98:{number}::1")


def sysctl(name, value):
    with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
        file.write(value)


def outside(env, *argv):
    """A command in the caller's namespace, in a cgroup that the agent has no hook on."""
    return bound_to_us(isolation.inside(env.cgroup, *env.caller.argv(*argv)))


def own_socket(env, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
    """A socket of the caller's: it belongs to the cgroup that it was made in."""
    isolation.join_cgroup(env.cgroup)
    try:
        return env.caller.socket(family, kind)
    finally:
        isolation.join_cgroup(isolation.CGROUP)


def endpoints(name, service, family, backends):
    address = "fd98:{}::2" if family == "IPv6" else "10.98.{}.2"
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "echo", "port": 9000, "protocol": "UDP"}] if service == "echo" else
                 [{"name": "http", "port": 8080}, {"name": "digest", "port": 8081}],
        "endpoints": [{"addresses": [address.format(i + 1)], "targetRef": {"kind": "Pod", "name": f"cart-{i}"}}
                      for i in backends]}


def manifests(backends, policy=None, extra=(), affinity=False):
    documents = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
         "spec": {"clusterIP": SERVICE, "clusterIPs": [SERVICE, SERVICE6], "ipFamilies": ["IPv4", "IPv6"],
                  "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "digest", "port": 81, "targetPort": 8081}],
                  **({"sessionAffinity": "ClientIP"} if affinity else {})}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo", "namespace": "shop"},
         "spec": {"clusterIP": UDP_SERVICE, "ports": [{"name": "echo", "port": 7, "protocol": "UDP", "targetPort": 9000}]}},
        endpoints("cart-4", "cart", "IPv4", backends), endpoints("cart-6", "cart", "IPv6", backends),
        endpoints("echo-4", "echo", "IPv4", backends), *extra]
    for i in range(BACKENDS):
        documents.append({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": f"cart-{i}", "namespace": "shop", "labels": {"version": "canary" if i == 2 else "stable"}}})
    if policy:
        documents.append({"apiVersion": "cortexflow.io/v1alpha1", "kind": "TrafficPolicy",
                          "metadata": {"name": "cart", "namespace": "shop"},
                          "spec": {"targetRefs": [{"kind": "Service", "name": "cart"}], **policy}})
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents)


def env_large():
    """32 MiB that no repetition makes right by chance."""
    return b"".join(hashlib.sha256(b"%d" % i).digest() * 32 for i in range(32768))


def backend(stack, place, i):
    namespace = stack.enter_context(Namespace(f"backend{i}"))
    join(namespace, f"b{i}", i + 1)
    directory = place.path(f"www{i}")
    os.mkdir(directory)
    with open(f"{directory}/index.html", "w", encoding="ascii") as page:
        page.write(f"{i}\n")
    with open(f"{directory}/large", "wb") as file:
        file.write(env_large())
    for argv in ((sys.executable, "-m", "http.server", "--bind", "::", "--directory", directory, "8080"),
                 (sys.executable, "-c", DIGEST), (sys.executable, "-c", ECHO, str(i))):
        process = namespace.popen(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
    wait_until(lambda: subprocess.run(namespace.argv("curl", "-s", "http://127.0.0.1:8080/"), capture_output=True,
                                      check=False).returncode == 0, 15, "web server answers")
    return namespace


def set_up(stack):
    place = stack.enter_context(Place())
    cgroup = stack.enter_context(isolation.cgroup(f"{isolation.MOUNT}/{isolation.PREFIX}outside"))
    for name, value in (("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")):
        sysctl(name, value)
    caller = stack.enter_context(Namespace("caller"))
    join(caller, "work0", 100)
    env = SimpleNamespace(place=place, caller=caller, cgroup=cgroup, backends=[])
    for i in range(BACKENDS):
        env.backends.append(backend(stack, place, i))
    os.mkdir(place.path("manifests"))
    write(env, manifests(range(BACKENDS)))
    env.agent = start(env)
    stack.callback(lambda: env.agent.close())
    return env


def start(env, *flags):
    return Agent("--manifests", env.place.path("manifests"), "--services-interfaces", "work*,late*", *flags,
                 place=env.place)


def write(env, text):
    env.place.write("manifests/shop.yaml", text)


def cart(env, port="http"):
    """The rows of the service's port, one a family."""
    return [row for row in env.agent.get("/v1/services")["services"] if (row["name"], row["port"]) == ("shop/cart", port)]


def active(env):
    return sum(row["active"] for row in cart(env) + cart(env, "digest"))


def apply(env, backends, **more):
    write(env, manifests(backends, **more))
    wanted = {f"10.98.{i + 1}.2:8080" for i in backends} | {f"[fd98:{i + 1}::2]:8080" for i in backends}
    extra = {f"{a}:8080" for e in more.get("extra", ()) for x in e.get("endpoints", ()) for a in x["addresses"]}
    wait_until(lambda: {b["address"] for row in cart(env) for b in row["backends"] if b["share"]} == wanted | extra, 5,
               "the change is applied")


def call(env, times, address=SERVICE):
    host = f"[{address}]" if ":" in address else address
    out = sh(*outside(env, "curl", "-sS", "--fail", "--max-time", "5", f"http://{host}/?[1-{times}]"), timeout=60)
    return dict(collections.Counter(out.split()))


def refused(env, address=SERVICE):
    return subprocess.run(outside(env, "curl", "-sS", "--max-time", "5", f"http://{address}/"), capture_output=True,
                          check=False).returncode


def verdicts(env):
    samples = env.agent.metrics()
    return {labels["verdict"]: int(value) for name, labels, value in samples if name == "cortexflow_redirect_packets_total"}


def ask(env, messages, size=8):
    """Datagrams from one socket; the answers' first octet says who answered, and they have to come from the service."""
    with own_socket(env) as sock:
        out = []
        for i in range(messages):
            text = bytes([i % 256]) * size
            sock.sendto(text, (UDP_SERVICE, 7))
            answer, peer = sock.recvfrom(65535)
            assert peer == (UDP_SERVICE, 7) and answer[1:] == text, (peer, answer[:20])
            out.append(answer[:1].decode())
        return out


def upload(env, data, address=SERVICE):
    """What the backend says is the data's digest."""
    with own_socket(env, socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(15)
        sock.connect((address, 81))
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return sock.recv(100).decode()
