# SPDX-License-Identifier: Apache-2.0
"""Agents that come back to manifests that are broken, gone or contested, with real web servers: nothing that worked is lost."""

import json
import os
import signal

from agent import Agent, total, wait_until
from harness import test
from isolation import CGROUP, cgroup
from netns import sh
from shop import SERVICE, call, manifests, service, set_up, shares, split, start, write

setup = set_up

HALF = {"0": 0.5, "1": 0.5}
DRAINED = {"0": 3, "1": 3}


def crash(env):
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)


def drained(env):
    """What is on disk."""
    with open(env.place.path("state/overrides.json"), encoding="ascii") as file:
        return json.load(file)["services"].get("shop/cart", {}).get("drained")


def function(env):
    return next(f for f in env.agent.status()["functions"] if f["name"] == "services")


def held(env):
    found = function(env)
    assert found["degraded"] and "stay as the agent before left them" in found["detail"], found
    assert "stay as the agent before left them" in env.agent.cfcli("status").stdout
    assert "stay as the agent before left them" in env.agent.log()
    row = service(env)
    assert row["held_since"] and "held as the agent before left it" in row["problems"][0], row
    assert {b["state"] for b in row["backends"] if b["share"]} == {"held"}, row
    listed = env.agent.cfcli("service", "list").stdout
    assert f"since {row['held_since']}" in listed, listed


def unused(env):
    """What of the manifests is not used now; settings that were dropped once are told for good."""
    return [said for said in env.agent.get("/v1/services")["refusals"] if "is dropped" not in said]


def drain(env):
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: service(env) and not unused(env), 5, "the manifests are whole")
    done = env.agent.cfcli("lb", "drain", "shop/cart", "cart-2")
    assert done.returncode == 0, done
    assert shares(env) == HALF and call(env, 6) == DRAINED


def repaired(env):
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: not function(env)["degraded"] and shares(env) == HALF, 5, "nothing is held any more")
    assert call(env, 6) == DRAINED and drained(env) == ["10.61.2.2:8080"]


def comes_back_to(env, text):
    drain(env)
    crash(env)
    write(env, text)
    env.agent = start(env)
    assert call(env, 6) == DRAINED and drained(env) == ["10.61.2.2:8080"]
    held(env)
    repaired(env)


@test("an agent that comes back to a broken Service leaves it as it was, with what operators set of it", seconds=40)
def broken_service(env):
    comes_back_to(env, manifests((0, 1, 2)).replace('"port": 80,', '"port": 80000,'))


@test("likewise to a broken EndpointSlice", seconds=40)
def broken_slice(env):
    comes_back_to(env, manifests((0, 1, 2)).replace('"port": 8080\n', '"port": 80800\n'))


@test("likewise to a broken TrafficPolicy", seconds=40)
def broken_policy(env):
    env.agent.cfcli("lb", "undrain", "shop/cart", "cart-2")
    write(env, manifests((0, 1, 2), split(50, 50)))
    wait_until(lambda: shares(env) == {"0": 0.25, "1": 0.25, "2": 0.5}, 5, "the split is there")
    crash(env)
    write(env, manifests((0, 1, 2), split(50, -5)))
    env.agent = start(env)
    assert call(env, 40) == {"0": 10, "1": 10, "2": 20}
    held(env)
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: shares(env) == {"0": 0.333, "1": 0.333, "2": 0.333} and not function(env)["degraded"], 5, "the policy is gone")


@test("likewise to a directory that is not mounted yet", seconds=40)
def missing_directory(env):
    drain(env)
    crash(env)
    away = env.place.path("away")
    os.rename(env.place.path("manifests"), away)
    env.agent = start(env)
    assert call(env, 6) == DRAINED and drained(env) == ["10.61.2.2:8080"]
    held(env)
    os.rename(away, env.place.path("manifests"))
    repaired(env)


@test("likewise to a file that somebody has emptied and still writes; an agent that runs waits until it is closed", seconds=60)
def half_written(env):
    drain(env)
    path = env.place.path("manifests/shop.yaml")
    with open(path, "w", encoding="ascii") as file:
        wait_until(lambda: "nobody has closed it" in str(unused(env)), 5, "it is said")
        assert call(env, 6) == DRAINED and service(env)["held_since"] is None
        crash(env)
        env.agent.close()
        env.agent = start(env)
        held = env.agent.get("/v1/services")["services"]
        assert held and all(row["held_since"] for row in held), held
        assert call(env, 6) == DRAINED
        file.write(manifests((0,)))
    wait_until(lambda: shares(env) == {"0": 1.0} and not unused(env), 5, "it is closed")


@test("a broken document of another namespace holds nothing: what has gone is dropped at once", seconds=40)
def elsewhere(env):
    drain(env)
    crash(env)
    other = manifests(()).split("\n---\n")[0].replace('"shop"', '"other"').replace('"port": 80,', '"port": 80000,')
    write(env, manifests((0, 1)) + "\n---\n" + other)
    env.agent = start(env)
    assert env.agent.get("/v1/services")["refusals"] and "stay as" not in function(env)["detail"]
    assert shares(env) == HALF and drained(env) is None
    crash(env)
    write(env, other)
    env.agent = start(env)
    assert not json.loads(sh("bpftool", "-j", "map", "dump", "pinned", f"{env.place.pins}/svc_frontends"))
    drain(env)
    env.agent.cfcli("lb", "undrain", "shop/cart", "cart-2")


@test("an address that a newer service wants too stays with who has it when the agent is killed", seconds=40)
def contested(env):
    write(env, manifests((0,)))
    wait_until(lambda: shares(env) == {"0": 1.0}, 5, "cart has one backend")
    newer = manifests((1,)).replace('"cart"', '"a"').replace('"cart-1"', '"a-1"')
    write(env, manifests((0,)) + "\n---\n" + newer)
    wait_until(lambda: len(env.agent.get("/v1/services")["services"]) == 2, 5, "the newer one is there")
    number = service(env)["number"]
    assert call(env, 6) == {"0": 6}
    crash(env)
    env.agent = start(env)
    assert service(env)["number"] == number and call(env, 6) == {"0": 6}
    other = next(row for row in env.agent.get("/v1/services")["services"] if row["name"] == "shop/a")
    assert f"{SERVICE}:80 is service shop/cart's" in other["problems"], other
    assert f"not used: Service shop/a: {SERVICE}:80 is service shop/cart's" in env.agent.log()
    # Stopped, nobody has it when the next one starts: then the older one gets it.
    env.agent.close()
    dated = json.dumps({"creationTimestamp": "2030-01-01T00:00:00Z"})[1:-1] + ', "name": '
    older = manifests((0,)).replace('"name": "cart",', dated.replace("2030", "2020") + '"cart",', 1)
    write(env, older + "\n---\n" + newer.replace('"name": "a",', dated + '"a",', 1))
    env.agent = start(env)
    assert call(env, 6) == {"0": 6}
    # From outside, a cluster IP of another is not to be had.
    env.agent.close()
    outside = newer.replace(f'"clusterIP": "{SERVICE}"', f'"clusterIP": "10.97.0.99", "externalIPs": ["{SERVICE}"]')
    assert outside != newer
    write(env, older.replace("2020", "2040") + "\n---\n" + outside.replace('"name": "a",', dated + '"a",', 1))
    env.agent = start(env)
    assert call(env, 6) == {"0": 6}
    write(env, newer)
    wait_until(lambda: not service(env), 5, "the older one is gone")
    assert call(env, 6) == {"1": 6}


@test("a state directory that can't be written, and a setting whose service has gone, don't keep the agent from starting", seconds=40)
def read_only(env):
    drain(env)
    crash(env)
    write(env, manifests((0, 1, 2)).replace('"cart"', '"basket"'))
    state = env.place.path("state")
    sh("mount", "--bind", state, state)
    try:
        sh("mount", "-o", "remount,ro,bind", state)
        env.agent = start(env)
        assert sum(call(env, 9).values()) == 9
        wait_until(lambda: function(env)["degraded"] and "Read-only file system" in function(env)["detail"], 5, "it is said")
        assert "Read-only file system" in env.agent.log()
        sh("mount", "-o", "remount,rw,bind", state)
        assert "can't be written" not in function(env)["detail"]
    finally:
        sh("umount", "--lazy", state)  # the agent holds it
    drain(env)
    env.agent.cfcli("lb", "undrain", "shop/cart", "cart-2")
    assert total(env.agent.metrics(), "cortexflow_service_overrides") == 0


def pod(name, **annotations):
    return "\n---\n" + json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": name, "namespace": "shop", "labels": {"version": "canary"},
        "annotations": {f"cortexflow.io/{key}": value for key, value in annotations.items()}}})


def callers(env):
    return len(json.loads(sh("bpftool", "-j", "map", "dump", "pinned", f"{env.place.pins}/svc_callers")))


@test("a pod that takes another's network namespace in one change is known as a caller, whatever their names")
def replaced(env):
    for name in ("old", "new", "zzz"):  # before it by name, and after it
        write(env, manifests((0, 1, 2)) + pod(name, netns=env.client.path) + pod(f"mark-{name}", cgroup=f"/none-{name}"))
        wait_until(lambda: f"mark-{name}" in str(env.agent.get("/v1/services")["refusals"]), 5, "the change is read")
        assert callers(env) == 1, name
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: callers(env) == 0, 5, "nobody is left")


@test("a pod whose cgroup comes after its manifest is known as a caller then", seconds=30)
def later(env):
    write(env, manifests((0, 1, 2)) + pod("late", cgroup="/late"))
    wait_until(lambda: "shop/late" in str(env.agent.get("/v1/services")["refusals"]), 5, "there is no cgroup yet")
    assert callers(env) == 0
    with cgroup(f"{CGROUP}/late"):
        wait_until(lambda: callers(env) == 1 and not unused(env), 5, "it is known")
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: callers(env) == 0, 5, "nobody is left")


@test("an agent that is told of no services says that what one before left goes on; cfagent --remove ends it", seconds=60)
def left(env):
    write(env, manifests((0, 1, 2)))
    wait_until(lambda: service(env) and not unused(env), 5, "the manifests are whole")
    crash(env)
    env.agent.close()
    env.agent = Agent(place=env.place)
    said = function(env)
    assert said["degraded"] and said["hook"] == "of an agent before" and "cfagent --remove" in said["detail"], said
    assert call(env, 6)
    refused = env.place.run("--remove")
    assert refused.returncode == 1 and "running" in refused.stderr, refused
    env.agent.close()
    assert call(env, 6)
    os.mkdir(f"{env.place.pins}/others")
    others = [f"{env.place.pins}/svc_others", f"{env.place.pins}/others/svc_slots"]
    for pin in others:
        sh("bpftool", "map", "create", pin, "type", "array", "key", "4", "value", "4", "entries", "1", "name", "others")
    done = env.place.run("--remove")
    assert done.returncode == 0 and "not the agent's: others, svc_others" in done.stdout, done
    assert sorted(env.place.pinned()) == sorted(others)
    for pin in others:
        os.unlink(pin)
    os.rmdir(f"{env.place.pins}/others")
    assert env.client.popen("curl", "-s", "--max-time", "2", f"http://{SERVICE}/").wait() != 0
    env.agent = start(env)
    wait_until(lambda: service(env), 5, "services are there again")
