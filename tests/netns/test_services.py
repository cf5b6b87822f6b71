# SPDX-License-Identifier: Apache-2.0
"""Services from manifests, with real web servers: who is reached, while things change and while the agent is gone."""

import json
import os
import signal
import socket
import subprocess

from agent import Place, total, wait_until
from harness import test
from netns import sh
from shop import SERVICE, Calls, apply, call, manifests, service, set_up, shares, split, start, write

setup = set_up


@test("callers of a service's address reach its backends in turn, exactly")
def in_turn(env):
    assert call(env, 90) == {"0": 30, "1": 30, "2": 30}
    row = service(env)
    assert [b["chosen"] for b in row["backends"]] == [30, 30, 30] and row["addresses"] == [f"{SERVICE}:80"], row
    wait_until(lambda: service(env)["active"] == 0, 5, "no connection is live")


@test("a canary is shifted from 90/10 to 0/100 under load: the shares are exact, and no call fails", seconds=60)
def canary(env):
    apply(env, manifests((0, 1, 2), split(90, 10)), {"0": 0.45, "1": 0.45, "2": 0.1})
    assert call(env, 200) == {"0": 90, "1": 90, "2": 20}
    calls = Calls(env)
    for stable, expected in ((50, {"0": 0.25, "1": 0.25, "2": 0.5}), (10, {"0": 0.05, "1": 0.05, "2": 0.9}), (0, {"2": 1.0})):
        apply(env, manifests((0, 1, 2), split(stable, 100 - stable)), expected)
    reached = calls.end()
    assert reached["2"] > 0
    assert call(env, 20) == {"2": 20}
    apply(env, manifests((0, 1, 2)), {"0": 0.333, "1": 0.333, "2": 0.333})


@test("backends come and go under load, and no call fails", seconds=60)
def churn(env):
    calls = Calls(env)
    for backends in ((0, 1), (1,), (1, 2), (0,), (0, 1, 2)) * 3:
        apply(env, manifests(backends), {str(i): round(1 / len(backends), 3) for i in backends})
    assert sum(calls.end().values()) > 0
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}


@test("a caller that is a canary reaches the canary, as its policy says", seconds=30)
def by_version(env):
    caller = {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "caller", "namespace": "shop", "labels": {"version": "canary"},
        "annotations": {"cortexflow.io/netns": env.client.path}}}
    text = manifests((0, 1, 2), {**split(0, 0), "matchCallerVersion": True})
    write(env, text + "\n---\n" + json.dumps(caller))
    wait_until(lambda: call(env, 6) == {"2": 6}, 10, "the canary is reached alone")
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: not service(env)["versions"], 5, "versions don't matter any more")
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}


@test("a document that can't be used is refused with its line; the service stays as it was")
def broken(env):
    write(env, manifests((0, 1, 2)).replace('"port": 80,', '"port": 80000,'))
    refusals = wait_until(lambda: env.agent.get("/v1/services")["refusals"], 5, "a refusal is shown")
    assert "shop.yaml:" in refusals[0] and "port" in refusals[0], refusals
    assert call(env, 9) == {"0": 3, "1": 3, "2": 3}
    listed = env.agent.cfcli("service", "list")
    assert "shop/cart" in listed.stdout and "not used: " in listed.stderr, listed
    apply(env, manifests((0, 1, 2)), {"0": 0.333, "1": 0.333, "2": 0.333})
    wait_until(lambda: not env.agent.get("/v1/services")["refusals"], 5, "the refusal is gone")


@test("a service without backends refuses at once, and says so")
def empty(env):
    apply(env, manifests(()), {})
    done = subprocess.run(env.client.argv("curl", "-sS", "--max-time", "5", f"http://{SERVICE}/"), capture_output=True,
                          text=True, check=False)
    assert done.returncode == 7, done
    assert "its EndpointSlices have no endpoints: connecting is refused" in env.agent.cfcli("service", "describe", "shop/cart").stdout
    whole = manifests((0, 1, 2))
    nosuch = manifests((0, 1, 2), {"subsets": [{"name": "new", "labels": {"version": "nosuch"}, "weight": 1}]})
    for text, words in ((nosuch, "3 no weight: it is of no subset"),
                        (whole.replace('"name": "http",\n   "port": 8080', '"name": "htpp",\n   "port": 8080'), 'no TCP port "http" (they have "htpp")'),
                        (whole.replace("kubernetes.io/service-name", "service-name"), "no EndpointSlice has the label kubernetes.io/service-name: cart")):
        assert text != whole
        apply(env, text, {})
        wait_until(lambda words=words: words in str(service(env)["problems"]), 5, words)
    apply(env, manifests((0, 1, 2)), {"0": 0.333, "1": 0.333, "2": 0.333})


@test("what of the manifests is not used is in the log, in the status and in a metric, while it is so")
def unused(env):
    def told():
        function = next(f for f in env.agent.status()["functions"] if f["name"] == "services")
        return "not used of the configuration: 1;" in function["detail"] and total(env.agent.metrics(), "cortexflow_configuration_unused") == 1

    for text, words in ((manifests((0, 1, 2)) + "\n---\n{kind: Service", "shop.yaml:"),
                        (manifests((0, 1, 2)) + "\n---\n" + manifests((), split(1, 1)).split("---")[-1].replace('"cart"', '"nobody"'), "there is no Service shop/nobody")):
        write(env, text)
        wait_until(told, 5, "status and metric")
        wait_until(lambda words=words: any("not used: " in line and words in line for line in env.agent.log().splitlines()), 5, words)
        write(env, manifests((0, 1, 2)))
        wait_until(lambda: not env.agent.get("/v1/services")["refusals"], 5, "the refusal is gone")
        assert total(env.agent.metrics(), "cortexflow_configuration_unused") == 0


@test("the agent is killed under load: no call fails, and the next one takes over what is there", seconds=60)
def killed(env):
    before = service(env)
    calls = Calls(env)
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    assert sum(call(env, 9).values()) == 9, "the kernel goes on alone"
    write(env, manifests((0, 1)))  # while nobody looks
    env.agent = start(env)
    assert shares(env) == {"0": 0.5, "1": 0.5}
    assert sum(calls.end().values()) > 0
    after = service(env)
    assert after["number"] == before["number"]
    numbers = {b["address"]: b["number"] for b in before["backends"]}
    assert all(numbers[b["address"]] == b["number"] for b in after["backends"]), (before, after)
    assert call(env, 10) == {"0": 5, "1": 5}


@test("an agent whose start fails leaves the translation that it found, and nothing where it found none", seconds=30)
def start_fails(env):
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", env.place.metrics_port))
        taken.listen()
        failed = env.place.run("--manifests", env.place.path("manifests"))
        assert failed.returncode == 1 and "in use" in failed.stderr, failed
        assert call(env, 10) == {"0": 5, "1": 5}
        with Place() as other:
            other.metrics_listen = env.place.metrics_listen
            failed = other.run("--manifests", env.place.path("manifests"))
            assert failed.returncode == 1 and not other.pinned(), failed
    env.agent = start(env)
    assert call(env, 10) == {"0": 5, "1": 5}


@test("an agent that ends takes its translation along, unless it is told to leave it", seconds=30)
def ends(env):
    env.agent.stop()
    done = subprocess.run(env.client.argv("curl", "-sS", "--max-time", "2", f"http://{SERVICE}/"), capture_output=True, check=False)
    assert done.returncode != 0
    assert not os.path.exists(env.place.pins), os.listdir(env.place.pins)
    env.agent = start(env, "--services-keep-on-exit", "true")
    env.agent.stop()
    assert call(env, 10) == {"0": 5, "1": 5}
    shown = sh("bpftool", "map", "dump", "pinned", f"{env.place.pins}/svc_backends")
    assert '"port": 8080' in shown, shown[:300]
    env.agent = start(env)
    assert call(env, 10) == {"0": 5, "1": 5}
