# SPDX-License-Identifier: Apache-2.0
"""Health checks of a service's backends, with real web servers that stop, fail and come back."""

import collections
import json
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

from agent import Agent, Place, total, wait_until
from harness import test
from netns import Namespace, bound_to_us, sh

SERVICE = "10.97.0.2"
BACKENDS = (0, 1, 2)
CHECK = {"type": "HTTP", "path": "/healthz", "expectedStatus": "200-299", "interval": "200ms", "timeout": "150ms",
         "healthyThreshold": 2, "unhealthyThreshold": 2}


def manifests(health, backends=BACKENDS):
    documents = [{
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"clusterIP": SERVICE, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }, {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [f"10.62.{i}.2"]} for i in backends],
    }]
    if health:
        documents.append({"apiVersion": "cortexflow.io/v1alpha1", "kind": "TrafficPolicy",
                          "metadata": {"name": "cart", "namespace": "shop"},
                          "spec": {"targetRefs": [{"kind": "Service", "name": "cart"}], "health": health}})
    return "\n---\n".join(json.dumps(document, indent=1) for document in documents)


def write(env, text):
    env.place.write("manifests/shop.yaml", text)


def answer(env, i, healthz=200, status=200):
    """What the backend's web server says from now on."""
    for name, value in (("healthz", healthz), ("status", status)):
        env.place.write(f"www{i}/{name}", str(value))


def start_server(env, i):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "webserver.py")
    env.servers[i] = env.namespaces[i].popen(sys.executable, script, f"10.62.{i}.2", str(i), f"{env.place.dir}/www{i}",
                                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: subprocess.run(["curl", "-s", f"http://10.62.{i}.2:8080/"], capture_output=True, check=False).returncode == 0,
               15, "web server answers")


def stop_server(env, i):
    env.servers[i].kill()
    env.servers[i].wait()


def setup(stack):
    env = SimpleNamespace(place=stack.enter_context(Place()), namespaces=[], servers={}, agent=None)
    for i in BACKENDS:
        namespace = stack.enter_context(Namespace(f"backend{i}"))
        env.namespaces.append(namespace)
        # The agent asks from its own network namespace, which is this run's.
        sh("ip", "link", "add", f"b{i}", "type", "veth", "peer", "name", "veth0", "netns", namespace.name)
        stack.callback(sh, "ip", "link", "del", f"b{i}")
        sh("ip", "address", "add", f"10.62.{i}.1/24", "dev", f"b{i}")
        sh("ip", "link", "set", f"b{i}", "up")
        namespace.ip("address", "add", f"10.62.{i}.2/24", "dev", "veth0")
        namespace.ip("link", "set", "veth0", "up")
        os.mkdir(env.place.path(f"www{i}"))
        answer(env, i)
        start_server(env, i)
        stack.callback(stop_server, env, i)
    os.mkdir(env.place.path("manifests"))
    write(env, manifests(CHECK))
    start_agent(env)
    stack.callback(lambda: env.agent.close())
    return env


def start_agent(env):
    env.agent = Agent("--manifests", env.place.path("manifests"), place=env.place)


def service(env):
    return next(row for row in env.agent.get("/v1/services")["services"] if row["name"] == "shop/cart")


def states(env):
    return {int(b["address"].split(".")[2]): b["state"] for b in service(env)["backends"]}


def await_states(env, *expected):
    wait_until(lambda: states(env) == dict(zip(BACKENDS, expected)), 10, f"states are {expected}")


def backend(env, i):
    return next(b for b in service(env)["backends"] if b["address"].startswith(f"10.62.{i}."))


def call(times):
    """How many of the callers reached which backend; each has a connection of its own, and none may fail."""
    out = sh(*bound_to_us(["curl", "-sS", "--fail", "--max-time", "5", "-H", "Connection: close", f"http://{SERVICE}/?[1-{times}]"]),
             timeout=60)
    return {int(name): n for name, n in collections.Counter(out.split()).items()}


def all_healthy(env):
    for i in BACKENDS:
        answer(env, i)
    write(env, manifests(CHECK))
    await_states(env, "healthy", "healthy", "healthy")


@test("backends that answer as expected are healthy, and callers reach each of them")
def healthy(env):
    await_states(env, "healthy", "healthy", "healthy")
    assert call(30) == {0: 10, 1: 10, 2: 10}
    shown = env.agent.cfcli("service", "describe", "shop/cart").stdout
    assert "healthy" in shown and "status 200" in shown, shown
    samples = env.agent.metrics()
    assert total(samples, "cortexflow_health_checks_total", result="healthy") > 0
    assert total(samples, "cortexflow_backends", state="available") == 3
    assert total(samples, "cortexflow_health_targets") == 3
    lines = env.agent.cfcli("status").stdout.splitlines()
    assert any("health checks" in line and "3 backends are checked" in line for line in lines), lines


@test("a backend that fails its checks gets no call from then on, and calls again when it is well", seconds=40)
def failing(env):
    all_healthy(env)
    answer(env, 1, healthz=500, status=500)
    await_states(env, "healthy", "unhealthy", "healthy")
    assert " 2/3 " in env.agent.cfcli("service", "list").stdout
    assert call(60) == {0: 30, 2: 30}
    seen = backend(env, 1)
    assert seen["reason"] == "status 500, expected 200-299" and seen["since"] and seen["share"] == 0, seen
    shown = env.agent.cfcli("service", "describe", "shop/cart").stdout
    assert "unhealthy" in shown and "status 500, expected 200-299" in shown, shown
    assert total(env.agent.metrics(), "cortexflow_backends", state="unhealthy") == 1
    assert total(env.agent.metrics(), "cortexflow_health_checks_total", result="status") >= 2
    answer(env, 1)
    await_states(env, "healthy", "healthy", "healthy")
    assert call(30) == {0: 10, 1: 10, 2: 10}


@test("a web server that is stopped is left out, and is back when it runs again", seconds=40)
def stopped(env):
    all_healthy(env)
    stop_server(env, 2)
    await_states(env, "healthy", "healthy", "unhealthy")
    assert call(60) == {0: 30, 1: 30}
    assert backend(env, 2)["reason"] == "connection refused", backend(env, 2)
    start_server(env, 2)
    await_states(env, "healthy", "healthy", "healthy")
    assert call(30) == {0: 10, 1: 10, 2: 10}


@test("a machine that is silent is left out", seconds=40)
def silent(env):
    all_healthy(env)
    env.namespaces[0].ip("link", "set", "veth0", "down")
    await_states(env, "unhealthy", "healthy", "healthy")
    assert call(60) == {1: 30, 2: 30}
    assert backend(env, 0)["reason"], backend(env, 0)
    env.namespaces[0].ip("link", "set", "veth0", "up")
    await_states(env, "healthy", "healthy", "healthy")


@test("a process that is stopped answers nobody: no answer within the timeout", seconds=40)
def frozen(env):
    all_healthy(env)
    env.servers[0].send_signal(signal.SIGSTOP)
    await_states(env, "unhealthy", "healthy", "healthy")
    assert backend(env, 0)["reason"] == "no answer within 150 ms", backend(env, 0)
    assert call(20) == {1: 10, 2: 10}
    env.servers[0].send_signal(signal.SIGCONT)
    await_states(env, "healthy", "healthy", "healthy")


@test("no call fails while backends become unhealthy and healthy under load", seconds=60)
def under_load(env):
    all_healthy(env)
    failed, on = [], True

    def go_on():
        while on:
            try:
                call(20)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failed.append(str(error))

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    for i in BACKENDS:
        answer(env, i, healthz=503)  # still serves what it has, as one that is about to stop
        await_states(env, *("unhealthy" if i == j else "healthy" for j in BACKENDS))
        answer(env, i)
        await_states(env, "healthy", "healthy", "healthy")
    on = False
    thread.join(60)
    assert not failed, failed[:3]


@test("too few healthy backends: all that are ready are used, and that is said", seconds=40)
def panic(env):
    all_healthy(env)
    for i in (0, 1):
        answer(env, i, healthz=500)
    await_states(env, "unhealthy", "unhealthy", "healthy")
    assert call(30) == {0: 10, 1: 10, 2: 10}
    assert total(env.agent.metrics(), "cortexflow_service_panics") == 1
    shown = env.agent.cfcli("service", "describe", "shop/cart").stdout
    assert "panic: 1 of 3 ready backends are healthy" in shown, shown
    write(env, manifests({**CHECK, "panicThreshold": 30}))
    wait_until(lambda: total(env.agent.metrics(), "cortexflow_service_panics") == 0, 5, "no panic any more")
    assert states(env) == {0: "unhealthy", 1: "unhealthy", 2: "healthy"}, "another policy forgets no state"
    assert call(10) == {2: 10}
    write(env, manifests({**CHECK, "panicThreshold": 0}))
    answer(env, 2, healthz=500)
    await_states(env, "unhealthy", "unhealthy", "unhealthy")
    done = subprocess.run(bound_to_us(["curl", "-sS", "--max-time", "5", f"http://{SERVICE}/"]), capture_output=True, check=False)
    assert done.returncode == 7, done
    all_healthy(env)


@test("an agent that takes over after a kill goes on with what was unhealthy, and the kernel serves all the while", seconds=40)
def restarted(env):
    all_healthy(env)
    answer(env, 1, healthz=500)
    await_states(env, "healthy", "unhealthy", "healthy")
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    assert call(20) == {0: 10, 2: 10}, "what the agent knew stays in force"
    start_agent(env)
    assert states(env)[1] == "unhealthy" and "status 500" in backend(env, 1)["reason"], backend(env, 1)
    assert call(20) == {0: 10, 2: 10}
    await_states(env, "healthy", "unhealthy", "healthy")
    assert call(20) == {0: 10, 2: 10}
    all_healthy(env)


@test("a backend that goes takes its state along, and a service without checks asks nobody", seconds=40)
def gone(env):
    all_healthy(env)
    answer(env, 1, healthz=500)
    await_states(env, "healthy", "unhealthy", "healthy")
    write(env, manifests(CHECK, (0, 2)))
    wait_until(lambda: states(env) == {0: "healthy", 2: "healthy"}, 5, "the backend is gone")
    assert total(env.agent.metrics(), "cortexflow_health_targets") == 2
    answer(env, 1)
    write(env, manifests(CHECK))
    await_states(env, "healthy", "healthy", "healthy")
    write(env, manifests(None))
    await_states(env, "ready", "ready", "ready")
    assert total(env.agent.metrics(), "cortexflow_health_targets") == 0
    assert call(30) == {0: 10, 1: 10, 2: 10}


@test("a gRPC server is asked for its own status, or for a service's", seconds=60)
def grpc(env):
    serving = env.place.path("serving", "1")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grpcserver.py")
    servers = [namespace.popen("/usr/bin/python3", script, f"10.62.{i}.2:50051", env.place.dir)
               for i, namespace in enumerate(env.namespaces)]  # Debian's own Python has its grpc module
    check = {key: CHECK[key] for key in ("interval", "healthyThreshold", "unhealthyThreshold")} | {"type": "GRPC", "port": 50051}
    try:
        write(env, manifests(check))
        wait_until(lambda: {b["reason"] for b in service(env)["backends"]} == {"SERVING"}, 20, "all are SERVING")
        await_states(env, "healthy", "healthy", "healthy")
        write(env, manifests({**check, "service": "cart"}))
        await_states(env, "healthy", "healthy", "healthy")
        with open(serving, "w", encoding="ascii") as file:
            file.write("2")
        await_states(env, "unhealthy", "unhealthy", "unhealthy")
        assert {b["reason"] for b in service(env)["backends"]} == {"NOT_SERVING"}, service(env)
        write(env, manifests({**check, "service": "checkout"}))
        wait_until(lambda: {b["reason"] for b in service(env)["backends"]} == {"gRPC status 5 (NOT_FOUND)"}, 10, "no such service")
        write(env, manifests({**check, "port": 8080}))
        wait_until(lambda: {b["reason"] for b in service(env)["backends"]} <= {"the answer is not HTTP/2", "closed without an answer"},
                   10, "a web server is no gRPC server")
    finally:
        for server in servers:
            server.kill()
            server.wait()
    all_healthy(env)
