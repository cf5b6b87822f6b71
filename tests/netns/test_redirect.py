# SPDX-License-Identifier: Apache-2.0
"""Callers whose sockets no cgroup hook sees, served by their packets: who is reached, over both families and protocols,
while backends change, while the agent is gone, through a narrow path."""

import collections
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys

import isolation
from agent import total, wait_until
from harness import test
from netns import Namespace, bound_to_us, sh
from redirect_world import (BACKENDS, CALLER, NARROW, SERVICE, SERVICE6, UDP_SERVICE, active, apply, ask, call, cart,
                            endpoints, env_large, join, manifests, outside, own_socket, refused,
                            start, upload, verdicts, write, set_up)
from shop import Calls

setup = set_up


@test("a caller that no cgroup hook sees reaches the backends in turn, in IPv4 and IPv6")
def in_turn(env):
    for address in (SERVICE, SERVICE6):
        assert call(env, 30, address) == {"0": 10, "1": 10, "2": 10}
    assert verdicts(env)["opened"] == 60, verdicts(env)
    wait_until(lambda: active(env) == 0, 5, "no connection is live")
    assert env.agent.metrics() and total(env.agent.metrics(), "cortexflow_bpf_map_entries", map="redirect_flows") > 0


@test("every packet of the interface has exactly one verdict")
def one_verdict(env):
    def seen():
        counters = json.loads(sh("ip", "-j", "-s", "link", "show", "work0"))[0]["stats64"]
        return counters["rx"]["packets"] + counters["tx"]["packets"], sum(verdicts(env).values())

    def difference():
        packets, judged = seen()
        return packets - judged if seen()[0] == packets else None  # else some came meanwhile

    before = wait_until(lambda: (difference(),) if difference() is not None else None, 5, "it is quiet")
    call(env, 30)
    call(env, 30, SERVICE6)
    ask(env, 10)
    wait_until(lambda: difference() == before[0], 5, "the interface's own count and the verdicts grow alike")


@test("a UDP socket keeps its backend, hears the service answer, and moves when the backend goes")
def datagrams(env):
    firsts = collections.Counter()
    for _ in range(6):
        answers = ask(env, 5)
        assert len(set(answers)) == 1, answers
        firsts[answers[0]] += 1
    assert firsts == {"0": 2, "1": 2, "2": 2}
    with own_socket(env) as sock:
        def who():
            sock.sendto(b"x", (UDP_SERVICE, 7))
            answer, peer = sock.recvfrom(100)
            assert peer == (UDP_SERVICE, 7), peer
            return int(answer[:1])

        first = who()
        assert who() == first
        apply(env, [i for i in range(BACKENDS) if i != first])
        wait_until(lambda: who() != first, 5, "the socket's datagrams go elsewhere")
    apply(env, range(BACKENDS))


@test("datagrams in parts, and datagrams without a checksum, come through whole both ways")
def parts(env):
    before = verdicts(env)["fragment"]
    for size in (1471, 1472, 1473, 4000, 30000, 60000):
        ask(env, 2, size)
    assert verdicts(env)["fragment"] > before + 100, verdicts(env)
    with own_socket(env) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK
        for size in range(1, 400):
            sock.sendto(b"n" * size, (UDP_SERVICE, 7))
            answer, _ = sock.recvfrom(1000)
            assert answer[1:] == b"n" * size


@test("a datagram of any length has a right checksum, also where it is left to the device", seconds=60)
def lengths(env):
    for sock in (own_socket(env),):
        with sock:
            for size in range(0, 1473):
                sock.sendto(b"a" * size, (UDP_SERVICE, 7))
                assert len(sock.recv(2000)) == size + 1, size


@test("large transfers both ways have the right content", seconds=90)
def large(env):
    data = env_large()
    wanted = hashlib.sha256(data)
    for address in (SERVICE, f"[{SERVICE6}]"):
        done = subprocess.run(outside(env, "curl", "-sS", "--fail", "--max-time", "40", f"http://{address}/large"),
                              capture_output=True, check=True)
        assert hashlib.sha256(done.stdout).digest() == wanted.digest()
    for address in (SERVICE, SERVICE6):
        assert upload(env, data, address) == wanted.hexdigest()


@test("behind a narrow path, ICMP's word of it reaches the caller: large uploads go through", seconds=60)
def narrow(env):
    data = env_large()[:2000000]
    for i in range(BACKENDS):
        sh("ip", "link", "set", f"b{i}", "mtu", NARROW)
    try:
        for address in (SERVICE, SERVICE6):
            before = verdicts(env)["icmp_error"]
            for _ in range(BACKENDS):
                assert upload(env, data, address) == hashlib.sha256(data).hexdigest()
            assert verdicts(env)["icmp_error"] > before, (address, verdicts(env))
            route = env.caller.ip("route", "get", address)
            assert f"mtu {NARROW}" in route, route
    finally:
        for i in range(BACKENDS):
            sh("ip", "link", "set", f"b{i}", "mtu", 1500)
        env.caller.ip("route", "flush", "cache")
        env.caller.ip("-6", "route", "flush", "cache")


@test("a backend's refusal reaches the caller as the service's: a port without a listener, TCP and UDP")
def closed_port(env):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "closed", "namespace": "shop"},
               "spec": {"clusterIP": "10.98.0.9", "ports": [{"name": "tcp", "port": 80}, {"name": "udp", "port": 80, "protocol": "UDP"}]}}
    slice_ = endpoints("closed-4", "closed", "IPv4", (0,))
    slice_["ports"] = [{"name": "tcp", "port": 4}, {"name": "udp", "port": 4, "protocol": "UDP"}]
    write(env, manifests(range(BACKENDS), extra=(service, slice_)))
    wait_until(lambda: any(row["name"] == "shop/closed" and row["backends"] for row in env.agent.get("/v1/services")["services"]),
               5, "the service stands")
    assert refused(env, "10.98.0.9") == 7
    with own_socket(env) as sock:
        sock.connect(("10.98.0.9", 80))
        sock.send(b"x")
        try:
            sock.recv(10)
            raise AssertionError("an answer from a port where nobody listens")
        except ConnectionRefusedError:
            pass
    apply(env, range(BACKENDS))


@test("a service without backends refuses at once", seconds=30)
def empty(env):
    write(env, manifests(()))
    wait_until(lambda: not any(row["backends"] for row in cart(env)), 5, "no backends")
    for address in (SERVICE, f"[{SERVICE6}]"):
        assert refused(env, address) == 7
    assert verdicts(env)["refused_empty"] >= 2, verdicts(env)
    apply(env, range(BACKENDS))


@test("a caller that is its own backend reaches itself")
def hairpin(env):
    directory = env.place.path("self")
    os.mkdir(directory)
    with open(f"{directory}/index.html", "w", encoding="ascii") as page:
        page.write("self\n")
    server = env.caller.popen(sys.executable, "-m", "http.server", "--bind", "::", "--directory", directory, "8080",
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        own = endpoints("cart-self", "cart", "IPv4", ())
        own["endpoints"] = [{"addresses": ["10.98.100.2"]}]
        own6 = endpoints("cart-self6", "cart", "IPv6", ())
        own6["endpoints"] = [{"addresses": ["fd98:100::2"]}]
        write(env, manifests((), extra=(own, own6)))
        wait_until(lambda: subprocess.run(env.caller.argv("curl", "-s", "http://10.98.100.2:8080/"), capture_output=True,
                                          check=False).returncode == 0, 15, "the caller serves")
        wait_until(lambda: all(len(row["backends"]) == 1 for row in cart(env)), 5, "it is the one backend")
        for address in (SERVICE, SERVICE6):
            assert call(env, 10, address) == {"self": 10}
        assert verdicts(env)["hairpin"] > 100
        wait_until(lambda: active(env) == 0, 5, "no connection is live")
    finally:
        server.kill()
        server.wait()
    apply(env, range(BACKENDS))


@test("one source port for two services with the same backend: both connections hold")
def same_port(env):
    twin = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "twin", "namespace": "shop"},
            "spec": {"clusterIP": "10.98.0.8", "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}
    apply(env, (0,), extra=(twin, {**endpoints("twin-4", "twin", "IPv4", (0,))}))
    made = []
    for address in (SERVICE, "10.98.0.8"):
        sock = own_socket(env, socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("10.98.100.2", 45678))
        sock.connect((address, 80))
        made.append(sock)
    for sock in made:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := sock.recv(1000):
            answer += data
        assert answer.endswith(b"0\n"), answer
        sock.close()
    apply(env, range(BACKENDS))


@test("a caller is known by its pod's address: a canary reaches the canary")
def by_version(env):
    caller = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "caller", "namespace": "shop", "labels": {"version": "canary"}},
              "status": {"podIP": "10.98.100.2", "podIPs": [{"ip": "10.98.100.2"}, {"ip": "fd98:100::2"}]}}
    policy = {"subsets": [{"name": "stable", "labels": {"version": "stable"}}, {"name": "canary", "labels": {"version": "canary"}}],
              "matchCallerVersion": True}
    write(env, manifests(range(BACKENDS), policy=policy, extra=(caller,)))
    wait_until(lambda: all(row["versions"] for row in cart(env)), 5, "versions matter")
    for address in (SERVICE, SERVICE6):
        assert call(env, 6, address) == {"2": 6}
    apply(env, range(BACKENDS))
    wait_until(lambda: not any(row["versions"] for row in cart(env)), 5, "versions don't matter any more")
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}


def asked(env, *argv):
    done = env.agent.cfcli(*argv, "-o", "json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def words(document):
    return " | ".join(f"{step['what']}: {step['says']}" for step in document["steps"])


def next_of(env, caller, target=f"{SERVICE}:80"):
    """Which backend an explanation says that the next call gets: its number."""
    (path,) = asked(env, "explain", caller, target)["paths"]
    assert path["verdict"] == "translated" and not path["differences"], path
    return str(int(path["next"].strip("[").replace("fd98:", "10.98.").split(".")[2].split(":")[0]) - 1)


@test("explain and simulate say who is served by packet, at which interface, and what its next calls get")
def told(env):
    document = asked(env, "explain", CALLER, f"{SERVICE}:80")
    assert "10.98.100.2 is behind work0, where its packets are translated (tcx)" in words(document), document
    assert "not measured" in words(document["paths"][0]), document
    for _ in range(4):
        for caller, service, target in ((CALLER, SERVICE, f"{SERVICE}:80"), ("fd98:100::2", SERVICE6, f"[{SERVICE6}]:80")):
            said = next_of(env, caller, target)
            assert call(env, 1, service) == {said: 1}
    for callers in (1, 5, 7):
        ports = asked(env, "lb", "simulate", "shop/cart", "--from", CALLER, "--callers", str(callers))["ports"]
        (port,) = [p for p in ports if p["address"] == f"{SERVICE}:80"]  # none of IPv6, of which it has no address
        assert not any(p["address"].startswith("[") for p in ports) and port["exact"], ports
        said = {str(int(b["address"].split(".")[2]) - 1): b["callers"] for b in port["backends"]}
        assert said == call(env, callers), (said, callers)
    # By its pod too, whose process is in a cgroup without hooks; one behind an interface that is not served is not.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "vm", "namespace": "shop"}, "status": {"podIP": CALLER}}
    write(env, manifests(range(BACKENDS), extra=(pod,), policy={"loadBalancing": {"algorithm": "ConsistentHash"}}))
    wait_until(lambda: all(row["algorithm"] == "ConsistentHash" for row in cart(env)), 5, "callers are hashed")
    assert {next_of(env, "shop/vm"): 6} == call(env, 6)
    (other,) = [p for p in asked(env, "explain", "shop/vm", "shop/cart:80")["paths"] if p["address"].startswith("[")]
    assert other["verdict"] == "not seen" and not other["next"] and "no address of this family" in words(other), other
    document = asked(env, "explain", "10.98.1.2", f"{SERVICE}:80")
    assert "10.98.1.2 is behind b0: that is none of the interfaces whose packets are served (work0)" in words(document), document
    apply(env, range(BACKENDS), affinity=True)
    wait_until(lambda: all(row["affinity_seconds"] for row in cart(env)), 5, "affinity is on")
    (kept,) = call(env, 1)
    assert next_of(env, CALLER) == kept
    assert "this client keeps" in words(asked(env, "explain", CALLER, f"{SERVICE}:80")["paths"][0])
    process = subprocess.Popen(outside(env, "sleep", "60"))
    try:
        wait_until(lambda: str(process.pid) in open(f"{env.cgroup}/cgroup.procs", encoding="ascii").read().split(), 5, "it is there")
        document = asked(env, "explain", f"pid:{process.pid}", f"{SERVICE}:80")
        assert document["paths"][0]["verdict"] == "not seen" and "behind one of the interfaces" in words(document), document
    finally:
        process.kill()
        process.wait()
    apply(env, range(BACKENDS))


@test("explain says that a port of a bridge is served where the caller is behind the bridge")
def behind_bridge(env):
    with Namespace("late") as late:
        join(late, "late0", 101)
        sh("ip", "link", "add", "bridge0", "type", "bridge")
        try:
            sh("ip", "address", "del", "10.98.101.1/24", "dev", "late0")
            sh("ip", "link", "set", "late0", "master", "bridge0")
            sh("ip", "address", "add", "10.98.101.1/24", "dev", "bridge0")
            sh("ip", "link", "set", "bridge0", "up")
            document = asked(env, "explain", "10.98.101.2", f"{SERVICE}:80")
            assert "behind bridge0, whose port late0 is served (tcx)" in words(document), document
        finally:
            sh("ip", "link", "del", "bridge0")


@test("ClientIP affinity keeps a caller's backend, by its address")
def affinity(env):
    apply(env, range(BACKENDS), affinity=True)
    wait_until(lambda: all(row["affinity_seconds"] for row in cart(env)), 5, "affinity is on")
    reached = call(env, 10)
    assert list(reached.values()) == [10], reached
    apply(env, range(BACKENDS))


@test("the breaker counts live connections: one more is refused, and one that ended makes room")
def breaker(env):
    apply(env, range(BACKENDS), policy={"circuitBreaker": {"maxConnections": 2}})
    wait_until(lambda: all(row["max_connections"] == 2 for row in cart(env)), 5, "the limit stands")
    held = []
    for _ in range(2):
        sock = own_socket(env, socket.AF_INET, socket.SOCK_STREAM)
        sock.connect((SERVICE, 80))
        held.append(sock)
    assert active(env) == 2 and refused(env) == 7
    held[0].close()
    wait_until(lambda: active(env) == 1, 5, "a connection has ended")
    assert sum(call(env, 1).values()) == 1
    held[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    held[1].close()  # by a reset
    wait_until(lambda: active(env) == 0, 5, "no connection is live")
    apply(env, range(BACKENDS))


@test("backends come and go under load, and no call fails; a connection stays with a backend that goes", seconds=60)
def churn(env):
    calls = [Calls(env, lambda env, to=to: call(env, 10, to)) for to in (SERVICE, SERVICE6)]
    apply(env, (0,))
    standing = own_socket(env, socket.AF_INET, socket.SOCK_STREAM)
    standing.connect((SERVICE, 80))
    for backends in ((1, 2), (1,), (1, 2), (0,), (0, 1, 2)) * 3:
        apply(env, backends)
    for one in calls:
        assert sum(one.end().values()) > 0
    apply(env, (1,))
    standing.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert standing.recv(10000)
    standing.close()
    apply(env, range(BACKENDS))
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}


@test("an interface that comes while the agent runs is served, and one that goes is let go; status says so", seconds=30)
def comes_and_goes(env):
    def line():
        return next(f for f in env.agent.status()["functions"] if f["name"] == "services by packet")

    assert line()["hook"] == "tcx" and line()["detail"] == "1 served: work0" and not line()["degraded"], line()
    with Namespace("late") as late:
        join(late, "late0", 101)
        wait_until(lambda: line()["detail"] == "2 served: work0, late0", 5, "it is served")
        argv = bound_to_us(isolation.inside(env.cgroup, *late.argv("curl", "-sS", "--max-time", "5", f"http://{SERVICE}/")))
        assert sh(*argv).strip() in ("0", "1", "2")
        sh("ip", "link", "set", "late0", "down")
        sh("ip", "link", "set", "late0", "name", "other0")
        wait_until(lambda: line()["detail"] == "1 served: work0", 5, "it is not chosen under its new name")
    assert "services by packet" in env.agent.cfcli("status").stdout
    sh("ip", "link", "add", "late1", "type", "ifb")
    try:
        wait_until(lambda: "late1" in line()["detail"], 5, "another kind of interface is seen")
    finally:
        sh("ip", "link", "del", "late1")
    wait_until(lambda: line()["detail"] == "1 served: work0", 5, "it is let go")
    assert len([name for name in os.listdir(env.place.pins) if name.startswith("redirect_if")]) == 2, os.listdir(env.place.pins)


@test("interfaces to serve without services are refused in words")
def no_services(env):
    done = env.place.run("--services-interfaces", "tap*")
    assert done.returncode == 2 and "set manifests or kubeconfig too" in done.stderr, done


@test("the agent is killed under load: no call fails, and the next one takes over flows and hooks", seconds=90)
def killed(env):
    calls = [Calls(env, lambda env, to=to: call(env, 10, to)) for to in (SERVICE, SERVICE6)]
    download = subprocess.Popen(outside(env, "curl", "-sS", "--fail", "--limit-rate", "8M", f"http://{SERVICE}/large"),
                                stdout=subprocess.PIPE)
    standing = own_socket(env, socket.AF_INET, socket.SOCK_STREAM)
    standing.connect((SERVICE, 80))
    before = active(env)
    assert before >= 1
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    assert sum(call(env, 9).values()) == 9, "the kernel goes on alone"
    write(env, manifests((0, 1)))  # while nobody looks
    env.agent = start(env)
    assert download.stdout.read() == env_large() and download.wait(20) == 0
    for one in calls:
        assert sum(one.end().values()) > 0
    standing.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert standing.recv(10000)
    standing.close()
    assert call(env, 10) == {"0": 5, "1": 5}
    wait_until(lambda: active(env) == 0, 5, "no connection is live")
    apply(env, range(BACKENDS))


@test("an agent that ends takes its hooks along, unless it is told to leave them", seconds=40)
def ends(env):
    env.agent.stop()
    assert refused(env) != 0
    assert not os.path.exists(env.place.pins), os.listdir(env.place.pins)
    env.agent = start(env, "--services-keep-on-exit", "true")
    env.agent.stop()
    assert sum(call(env, 9).values()) == 9
    assert '"protocol": 6' in sh("bpftool", "map", "dump", "pinned", f"{env.place.pins}/redirect_flows")[:5000]
    env.agent = start(env)
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
