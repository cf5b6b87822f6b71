# SPDX-License-Identifier: Apache-2.0
"""Services from an API server: what it says is in the kernel, also when it fails, lies, hangs or is away."""

import os
import signal
import time

import shop
from agent import expect, total, wait_until
from faulty_server import FaultyServer, status
from harness import test
from lab import Lab

ADDRESS = "10.96.0.97"


def cart():
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"clusterIP": ADDRESS, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}


def endpoints(backends):
    return {"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
            "ports": [{"name": "http", "port": 8080}], "endpoints": [{"addresses": [f"10.61.{i}.2"]} for i in backends]}


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def setup(stack):
    env = shop.set_up_world(stack)
    env.lab = stack.enter_context(Lab())
    env.lab.apply(namespace("shop"), cart(), endpoints((0, 1, 2)))
    env.server = stack.enter_context(FaultyServer(env.lab))
    env.kubeconfig = env.lab.kubeconfig(env.place, "faulty.kubeconfig", server=env.server.url)
    start(env)
    stack.callback(lambda: env.agent.close())
    return env


def start(env):
    env.agent = env.lab.agent(env.place, kubeconfig=env.kubeconfig)


def call(env, times):
    return shop.call(env, times, ADDRESS)


def move(env, backends, timeout=10):
    """To these backends, and waits until the kernel knows."""
    env.lab.apply(endpoints(backends))
    wait_until(lambda: sorted(shop.shares(env)) == sorted(map(str, backends)), timeout, f"backends are {backends}")


def troubled(env):
    return wait_until(lambda: (one := env.agent.kubernetes()) and one["degraded"] and one, 10, "the trouble is shown")


def untroubled(env, timeout=90):
    return wait_until(lambda: (one := env.agent.kubernetes()) and not one["degraded"] and one, timeout, "all is well again")


@test("what the API server has is what callers reach, and the status and metrics say whom it follows")
def reached(env):
    wait_until(lambda: len(shop.shares(env)) == 3, 10, "three backends")
    assert call(env, 30) == {"0": 10, "1": 10, "2": 10}
    said = untroubled(env)
    expect({"name": "status", **said}, hook=env.server.url)
    assert "1 EndpointSlice" not in said["detail"] and "2 EndpointSlice" in said["detail"], said  # cart's, and the API's own
    assert "no TrafficPolicy installed" in said["detail"], said
    samples = env.agent.metrics()
    assert total(samples, "cortexflow_kubernetes_synced") == 1
    assert total(samples, "cortexflow_kubernetes_objects", kind="EndpointSlice") == 2
    assert total(samples, "cortexflow_kubernetes_in_trouble") == 0


@test("a service moves between backends under load, and no call fails", seconds=90)
def moved(env):
    calls = shop.Calls(env, lambda env: call(env, 20))
    for backends in ((0, 1), (1,), (1, 2), (0,), (0, 1, 2)):
        move(env, backends)
    assert sum(calls.end().values()) > 0


@test("a stream that is cut goes on where it was, and what changed meanwhile is there", seconds=60)
def cut(env):
    env.server.cut()
    move(env, (2,))
    untroubled(env)
    assert total(env.agent.metrics(), "cortexflow_kubernetes_gone_total") == 0
    move(env, (0, 1, 2))


def harmed(env, answer, words):
    """While the server answers so: the trouble is said in these words, callers go on, and afterwards all is right."""
    with env.server.failing(answer):
        said = troubled(env)
        wait_until(lambda: words in env.agent.kubernetes()["detail"], 20, f"{words!r} is said: {said}")
        env.lab.apply(endpoints((1,)))
        assert call(env, 6) == {"0": 2, "1": 2, "2": 2}
    wait_until(lambda: sorted(shop.shares(env)) == ["1"], 90, "the change is there")
    untroubled(env)
    assert call(env, 3) == {"1": 3}
    move(env, (0, 1, 2))


@test("a server that answers 500 is asked again, less and less often", seconds=240)
def failing(env):
    harmed(env, lambda path: (500, {}, status(500, "InternalError", "etcd is on fire")), "etcd is on fire")


@test("a server that answers 429 is left alone for as long as it says", seconds=240)
def busy(env):
    harmed(env, lambda path: (429, {"Retry-After": "2"}, status(429, "TooManyRequests", "please wait")), "please wait")


@test("nonsense is said to be nonsense, and changes nothing", seconds=240)
def nonsense(env):
    harmed(env, lambda path: (200, {}, b"<html>maintenance</html>\n"), "<html>maintenance</html>")


@test("another server's objects in the place of events change nothing", seconds=240)
def schema(env):
    harmed(env, lambda path: (200, {}, b'{"type":"ADDED","object":{"metadata":{"name":"x"}}}\n'), "expected an object with a resourceVersion")


@test("history that is gone (410) is listed anew, and what went meanwhile is gone", seconds=240)
def gone(env):
    before = total(env.agent.metrics(), "cortexflow_kubernetes_lists_total")
    asked = []

    def answer(path):
        if "watch=1" in path and path.split("?")[0] not in asked:
            asked.append(path.split("?")[0])
            return 200, {}, b'{"type":"ERROR","object":' + status(410, "Expired", "too old resource version") + b"}\n"
        return None

    env.lab.kubectl("delete", "endpointslice", "-n", "shop", "cart-1", "--wait=false")
    with env.server.failing(answer):
        wait_until(lambda: total(env.agent.metrics(), "cortexflow_kubernetes_gone_total") >= 4, 90, "410 is counted")
    untroubled(env)
    assert total(env.agent.metrics(), "cortexflow_kubernetes_lists_total") > before
    wait_until(lambda: not shop.shares(env), 10, "no backend is left")
    move(env, (0, 1, 2))


@test("the server hangs and the agent is killed: the next one goes on with the last known state, and says how old it is", seconds=180)
def away(env):
    move(env, (1, 2))
    env.lab.signal_server(signal.SIGSTOP)
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait()
    assert call(env, 6) == {"1": 3, "2": 3}
    env.agent.close()
    start(env)
    assert sorted(shop.shares(env)) == ["1", "2"], shop.shares(env)
    said = env.agent.kubernetes()
    assert said["degraded"] and "from disk" in said["detail"], said
    assert total(env.agent.metrics(), "cortexflow_kubernetes_synced") == 0
    assert call(env, 6) == {"1": 3, "2": 3}
    env.lab.signal_server(signal.SIGCONT)
    untroubled(env)
    move(env, (0, 1, 2))


@test("without a state on disk, the kernel's stays until the server has answered", seconds=180)
def no_state(env):
    move(env, (1,))
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait()
    env.agent.close()
    os.remove(env.place.path("state/kubernetes.jsonl"))
    env.lab.signal_server(signal.SIGSTOP)
    start(env)
    assert "not known yet" in env.agent.kubernetes()["detail"], env.agent.kubernetes()
    assert not env.agent.ready()
    assert call(env, 4) == {"1": 4}
    env.lab.signal_server(signal.SIGCONT)
    untroubled(env)
    assert env.agent.ready()
    assert call(env, 4) == {"1": 4}
    move(env, (0, 1, 2))


@test("a change is in the kernel within moments of the API server's word", seconds=60)
def soon(env):
    for backends in ((0,), (0, 1, 2)) * 3:
        env.lab.apply(endpoints(backends))
        began = time.monotonic()
        wait_until(lambda: sorted(shop.shares(env)) == sorted(map(str, backends)), 2, "the change is there")  # pylint: disable=cell-var-from-loop
        assert time.monotonic() - began < 2
