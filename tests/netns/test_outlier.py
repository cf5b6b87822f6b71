# SPDX-License-Identifier: Apache-2.0
"""Backends that real connections speak against, with real web servers: left out, tried again, and back."""

import json
import os
import signal
import subprocess

from agent import total, wait_until
from harness import test
from netns import sh
from shop import SERVICE, apply, call, manifests, server, service, set_up, shares, start, write
from slow_link import SlowLink

EVEN = {"0": 0.333, "1": 0.333, "2": 0.333}
POLICY = {"consecutiveLocalOriginFailures": 3, "baseEjectionTime": "2s", "maxEjectionTime": "60s", "maxEjectionPercent": 30}


def setup(stack):
    env = set_up(stack)
    env.stack = stack
    return env


def call_anyway(env, times):
    """Calls that may fail; how many did."""
    return sum(subprocess.run(env.client.argv("curl", "-sS", "--max-time", "5", f"http://{SERVICE}/"), capture_output=True,
                              check=False).returncode != 0 for _ in range(times))


def backend(env, number):
    return next(b for b in service(env)["backends"] if b["address"].startswith(f"10.61.{number}."))


def explained(env):
    return json.loads(env.agent.cfcli("explain", f"pid:{os.getpid()}", "shop/cart:80", "-o", "json").stdout)


def serve_again(env, number):
    env.servers[number] = server(env.backends[number], f"10.61.{number}.2", env.place.path(f"www{number}"))
    env.stack.callback(env.servers[number].wait)
    env.stack.callback(env.servers[number].kill)


def ejected(env, number):
    return backend(env, number)["state"] == "ejected"


@test("with LeastLatency a backend behind a slow link gets markedly fewer calls, and all without it", seconds=60)
def slow(env):
    link = SlowLink(env.client, env.backends[1], "10.62.0.1/30", "10.62.0.2/30", 0.03)
    env.stack.callback(link.close)
    process = server(env.backends[1], "10.62.0.2", env.place.path("www1"))
    env.stack.callback(process.wait)
    env.stack.callback(process.kill)
    text = manifests((0, 1, 2), {"loadBalancing": {"algorithm": "LeastLatency"}}).replace("10.61.1.2", "10.62.0.2")
    write(env, text)
    wait_until(lambda: service(env)["algorithm"] == "LeastLatency", 5, "the algorithm is LeastLatency")
    reached = call(env, 150)
    assert reached.get("1", 0) <= 15, reached
    assert min(reached.get("0", 0), reached.get("2", 0)) > 15, reached
    (path,) = explained(env)["paths"]
    costly = next(b for b in path["backends"] if b["address"].startswith("10.62.0.2"))
    assert costly["connect_recent_seconds"] > 0.05 and costly["share"] < 0.01, path
    assert abs(sum(b["share"] for b in path["backends"]) - 1) < 1e-6 and "costs less" in str(path["steps"]), path
    simulated = json.loads(env.agent.cfcli("lb", "simulate", "shop/cart", "--callers", "20", "-o", "json").stdout)["ports"][0]
    assert all(not b["address"].startswith("10.62.0.2") for b in simulated["backends"]), simulated
    assert "1" not in call(env, 20)
    connect = next(b for b in service(env)["backends"] if b["address"].startswith("10.62.0.2"))["connections"]
    assert connect["results"]["established"] == 0 or connect["connect_mean_seconds"] > 0.05, connect
    write(env, manifests((1,)).replace("10.61.1.2", "10.62.0.2"))
    wait_until(lambda: call(env, 3) == {"1": 3}, 10, "the slow one is used where it is the only one")


@test("a backend that refuses is ejected, no call fails then, and it returns after a probe that goes well", seconds=60)
def refuses(env):
    apply(env, manifests((0, 1, 2), {"outlierDetection": POLICY}), EVEN)
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    env.servers[1].kill()
    env.servers[1].wait()
    failed = call_anyway(env, 9)
    assert failed == 3, failed
    wait_until(lambda: ejected(env, 1), 5, "the backend is ejected")
    assert "3 connects failed in a row" in backend(env, 1)["reason"], backend(env, 1)
    assert "10.61.1.2:8080 is ejected: 3 connects failed in a row" in str(explained(env)["paths"][0]["steps"])
    assert set(call(env, 20)) == {"0", "2"}
    assert "ejected" in env.agent.cfcli("service", "describe", "shop/cart").stdout
    # It comes back, its probe fails, and it is out for longer: of many callers one or two pay for that.
    wait_until(lambda: not ejected(env, 1), 10, "the backend is on probation")
    states = {b["address"]: b["state"] for b in explained(env)["paths"][0]["backends"]}
    assert states["10.61.1.2:8080"] == "probation" and states["10.61.0.2:8080"] == "ready", states
    assert "on probation" in env.agent.cfcli("lb", "simulate", "shop/cart").stdout
    call_anyway(env, 3)
    wait_until(lambda: ejected(env, 1), 10, "its probe has failed")
    assert "its probe failed, ejection 2 in a row" in backend(env, 1)["reason"], backend(env, 1)
    serve_again(env, 1)
    wait_until(lambda: shares(env) == EVEN, 15, "the backend is on probation again")
    wait_until(lambda: call(env, 9).get("1") == 3, 10, "and has its share of the calls")
    metrics = env.agent.metrics()
    assert total(metrics, "cortexflow_service_connections_total", namespace="shop", service="cart", result="refused") >= 4
    assert total(metrics, "cortexflow_service_ejections_total", namespace="shop", service="cart") == 2
    assert total(metrics, "cortexflow_service_ejected_backends", namespace="shop", service="cart") == 0


@test("an ejection does not outlast its policy, and no more than the share is ejected")
def bounded(env):
    apply(env, manifests((0, 1, 2)), EVEN)
    apply(env, manifests((0, 1, 2), {"outlierDetection": POLICY}), EVEN)
    for number in (0, 1):
        env.servers[number].kill()
        env.servers[number].wait()
    call_anyway(env, 15)
    wait_until(lambda: any(b["state"] == "ejected" for b in service(env)["backends"]), 5, "one is ejected")
    call_anyway(env, 12)
    assert [b["state"] for b in service(env)["backends"]].count("ejected") == 1, service(env)
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: shares(env) == EVEN, 5, "nobody is ejected without a policy")
    for number in (0, 1):
        serve_again(env, number)
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    apply(env, manifests((0, 1, 2), {"outlierDetection": POLICY}), EVEN)


@test("a caller that has no route itself gets no backend ejected")
def no_route(env):
    apply(env, manifests((0, 1, 2), {"outlierDetection": {**POLICY, "maxEjectionPercent": 100}}), EVEN)
    before = [b["connections"]["results"]["unsent"] for b in service(env)["backends"]]
    for _ in range(30):
        done = subprocess.run(env.client.argv("unshare", "-n", "curl", "-s", "--max-time", "2", f"http://{SERVICE}/"), check=False)
        assert done.returncode != 0
    after = service(env)["backends"]
    assert [b["connections"]["results"]["unsent"] for b in after] == [n + 10 for n in before], after
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    assert all(b["state"] != "ejected" for b in service(env)["backends"]), service(env)


@test("an agent that takes over after a kill goes on with the ejections: nobody is sent to a backend that was left out", seconds=60)
def remembered(env):
    apply(env, manifests((0, 1, 2), {"outlierDetection": {**POLICY, "baseEjectionTime": "6s"}}), EVEN)
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    env.servers[1].kill()
    env.servers[1].wait()
    call_anyway(env, 9)
    wait_until(lambda: ejected(env, 1), 5, "the backend is ejected")
    before = backend(env, 1)
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    env.agent = start(env)
    found = backend(env, 1)
    assert found["state"] == "ejected" and found["reason"] == before["reason"], (before, found)
    assert set(call(env, 20)) == {"0", "2"}
    wait_until(lambda: not ejected(env, 1), 15, "the ejection ends when the first agent meant it to")
    env.agent.signal(signal.SIGKILL)  # on probation: it gets one call, and is out for longer
    env.agent.process.wait(5)
    env.agent = start(env)
    states = {b["address"]: b["state"] for b in explained(env)["paths"][0]["backends"]}
    assert states["10.61.1.2:8080"] == "probation", states
    assert call_anyway(env, 6) in (1, 2)
    wait_until(lambda: ejected(env, 1), 5, "its probe has failed")
    assert "ejection 2 in a row" in backend(env, 1)["reason"], backend(env, 1)
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: shares(env) == EVEN, 5, "nobody is ejected without a policy")
    assert not json.loads(sh("bpftool", "-j", "map", "dump", "pinned", f"{env.place.pins}/svc_avoided"))
    serve_again(env, 1)


@test("counts of connections go on through the agent's death", seconds=30)
def adopted(env):
    before = backend(env, 2)["connections"]["results"]["established"]
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    env.agent = start(env)
    found = backend(env, 2)["connections"]
    assert found["results"]["established"] == before + 3, (before, found)
    assert found["connect_mean_seconds"] > 0, found
