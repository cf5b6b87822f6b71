# SPDX-License-Identifier: Apache-2.0
"""UDP sockets whose backend leaves: woken, and connected again; and those that this is not about."""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

from agent import Agent, Place, parse_metrics, total, wait_until
from harness import test
from netns import Namespace, bound_to_us

# The same in each network namespace.
ONE, TWO = "10.64.0.1", "10.64.0.2"
SERVICE, OTHER, SERVICE6 = "10.97.0.64", "10.97.0.65", "fd97::64"
ONE6, TWO6 = "fd64::1", "fd64::2"
PORT = 5300

SERVER = """
import socket, sys, threading
def serve(sock):
    while True:
        data, client = sock.recvfrom(64)
        sock.sendto(sys.argv[1].encode(), client)
for address in sys.argv[2:]:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 5300))
    threading.Thread(target=serve, args=(sock,)).start()
print("bound", flush=True)
"""

# Says who answers, then what recv() says while nobody does, then who answers on the same socket connected again.
CLIENT = f"""
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def ask():
    sock.connect(("{SERVICE}", 53))
    sock.send(b"who")
    print(sock.recv(64).decode(), flush=True)
ask()
try:
    sock.recv(64)
except OSError as error:
    print(error.errno, flush=True)
ask()
"""

# $1: python, $2: the servers, $3: the client.  The servers end with it.
UNNAMED = """
ip link set lo up
for n in 1 2; do
  ip address add 10.64.0.$n dev lo
  coproc setpriv --pdeathsig KILL "$1" -c "$2" $n 10.64.0.$n
  read -r _ <&"${COPROC[0]}"
done 2>/dev/null
exec "$1" -c "$3"
"""


def manifests(cart, other=(ONE, TWO), six=(ONE6, TWO6), extra=()):
    """Two services with the same backends, and one of IPv6."""
    documents = list(extra)
    for name, address, backends in (("cart", SERVICE, cart), ("other", OTHER, other), ("six", SERVICE6, six)):
        if backends is None:
            continue
        labels = {"kubernetes.io/service-name": name}
        documents += [{
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"clusterIP": address, "ports": [{"name": "d", "protocol": "UDP", "port": 53, "targetPort": PORT}]},
        }, {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6" if ":" in address else "IPv4",
            "metadata": {"name": f"{name}-1", "namespace": "shop", "labels": labels},
            "ports": [{"name": "d", "protocol": "UDP", "port": PORT}],
            "endpoints": [b if isinstance(b, dict) else {"addresses": [b]} for b in backends],
        }]
    return "\n---\n".join(json.dumps(document) for document in documents)


def servers_in(stack, ns):
    for number, addresses in (("1", (ONE, ONE6)), ("2", (TWO, TWO6))):
        for address in addresses:
            ns.ip("address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        server = ns.popen(sys.executable, "-c", SERVER, number, *addresses, stdout=subprocess.PIPE, text=True)
        stack.callback(server.wait)
        stack.callback(server.kill)
        assert server.stdout.readline() == "bound\n"


def setup(stack):
    """The agent and some of its callers are in `host`, which stands for the host's network namespace, others in `client`."""
    env = SimpleNamespace(place=stack.enter_context(Place()), host=stack.enter_context(Namespace("host")),
                          client=stack.enter_context(Namespace("caller")), agent=None)
    for ns in (env.host, env.client):
        servers_in(stack, ns)
    os.mkdir(env.place.path("manifests"))
    write(env, manifests((ONE, TWO)))
    start(env)
    stack.callback(lambda: env.agent.close())
    return env


def start(env):
    env.agent = Agent("--manifests", env.place.path("manifests"), place=env.place, prefix=("nsenter", f"--net={env.host.path}"))


def write(env, text):
    env.place.write("manifests/shop.yaml", text)


def ended(env, result="destroyed"):
    samples = parse_metrics(env.host.run("curl", "-s", f"http://{env.place.metrics_listen}/metrics"))
    return total(samples, "cortexflow_service_stale_sockets_total", result=result)


def ask(sock):
    sock.send(b"who")
    return sock.recv(64).decode()


def client_of(stack, ns, address=SERVICE, port=53, wanted="1"):
    """A connected socket that talks with that backend."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(64):
        sock = ns.socket(family)
        sock.connect((address, port))
        if ask(sock) == wanted:
            return stack.enter_context(sock)
        sock.close()
    raise AssertionError(f"{address} never led to backend {wanted}")


def is_woken(sock):
    try:
        sock.recv(64)
    except OSError as error:
        return error.errno == errno.ECONNABORTED
    return False


def back(env):
    write(env, manifests((ONE, TWO)))
    def both_chosen(row):
        return sum(backend["share"] > 0 for backend in row["backends"]) == 2

    wait_until(lambda: all(map(both_chosen, env.agent.get("/v1/services")["services"])), 5, "both are back")


@test("a UDP client whose backend leaves wakes with ECONNABORTED, connects again and reaches another; nobody else is disturbed", seconds=60)
def leaves(env):
    with contextlib.ExitStack() as stack:
        pinned = [client_of(stack, ns, address) for ns in (env.host, env.client) for address in (SERVICE, f"::ffff:{SERVICE}")]
        left_alone = [client_of(stack, ns, address, port) for ns in (env.host, env.client)
                      for address, port in ((OTHER, 53), (ONE, PORT))]
        second = [client_of(stack, ns, wanted="2") for ns in (env.host, env.client)]
        # Connected to the service, then elsewhere: to the same backend by its own address, and by the other service's.
        for address, port in ((ONE, PORT), (OTHER, 53)):
            moved = client_of(stack, env.client)
            answer = None
            while answer != "1":
                moved.connect((address, port))
                answer = ask(moved)
            assert moved.getpeername() == (address, port)
            left_alone.append(moved)
        before = ended(env)
        woken = []
        threads = [threading.Thread(target=lambda s=sock: woken.append(is_woken(s))) for sock in pinned]
        for thread in threads:
            thread.start()
        write(env, manifests((TWO,)))
        for thread in threads:
            thread.join()
        assert woken == [True] * len(pinned), woken
        wait_until(lambda: ended(env) == before + len(pinned), 5, "they are counted")
        for sock in pinned:
            sock.connect((f"::ffff:{SERVICE}" if sock.family == socket.AF_INET6 else SERVICE, 53))
            assert ask(sock) == "2"
        assert [ask(sock) for sock in left_alone] == ["1"] * len(left_alone)
        assert [ask(sock) for sock in second] == ["2", "2"]
        assert ended(env, "failed") == ended(env, "unreachable") == 0
        back(env)


@test("the same over IPv6, and for a client in a network namespace that has no name", seconds=40)
def six_and_unnamed(env):
    with contextlib.ExitStack() as stack:
        sock = client_of(stack, env.client, SERVICE6)
        unnamed = subprocess.Popen(bound_to_us(["unshare", "--net", "bash", "-ec", UNNAMED, "-", sys.executable, SERVER, CLIENT]),
                                   stdout=subprocess.PIPE, text=True)
        stack.callback(unnamed.wait)
        stack.callback(unnamed.terminate)
        who = unnamed.stdout.readline().strip()
        write(env, manifests({"1": (TWO,), "2": (ONE,)}[who], six=(TWO6,)))
        assert is_woken(sock)
        sock.connect((SERVICE6, 53))
        assert ask(sock) == "2"
        assert unnamed.stdout.readline().strip() == str(errno.ECONNABORTED)
        assert unnamed.stdout.readline().strip() == {"1": "2", "2": "1"}[who]
        back(env)


@test("a client of a backend that is drained, has no weight, or ends but still serves keeps it", seconds=40)
def stays(env):
    with contextlib.ExitStack() as stack:
        sock = client_of(stack, env.client)
        before = ended(env)
        assert env.agent.cfcli("lb", "drain", "shop/cart", ONE).returncode == 0
        env.agent.cfcli("lb", "undrain", "shop/cart", ONE)
        assert env.agent.cfcli("lb", "set-weight", "shop/cart", ONE, "0").returncode == 0
        env.agent.cfcli("lb", "reset", "shop/cart")
        ending = {"addresses": [ONE], "conditions": {"ready": False, "serving": True, "terminating": True}}
        # A backend of another service that really leaves: the sweep has been, and left this one alone.
        gone = client_of(stack, env.client, OTHER)
        write(env, manifests((ending, TWO), other=(TWO,)))
        assert is_woken(gone)
        wait_until(lambda: ended(env) == before + 1, 5, "it is counted")
        assert ask(sock) == "1"
        ending["conditions"]["serving"] = False
        write(env, manifests((ending, TWO)))
        assert is_woken(sock)
        back(env)


@test("what left while no agent ran is found by the next; a service that goes wakes its clients", seconds=60)
def meanwhile(env):
    with contextlib.ExitStack() as stack:
        sock, other = client_of(stack, env.client), client_of(stack, env.client, OTHER)
        env.agent.signal(signal.SIGKILL)
        env.agent.process.wait(5)
        write(env, manifests((TWO,)))
        start(env)
        assert is_woken(sock)
        assert ask(other) == "1"
        write(env, manifests((TWO,), other=None))
        assert is_woken(other)
        back(env)


@test("status says that sockets are ended, and how; the program is listed")
def shown(env):
    function = next(f for f in env.agent.status()["functions"] if f["name"] == "stale udp sockets")
    assert function["hook"] == "SOCK_DESTROY" and not function["degraded"], function
    assert "svc_stale" in env.agent.cfcli("bpf", "list").stdout
