# SPDX-License-Identifier: Apache-2.0
"""The certificate authority inside the agent: the same service, over the agent's death too."""

import os
import signal
import subprocess
import types

from agent import Agent, Place, total, wait_until
from authority import CART_UID, DOMAIN, Authority
from harness import test
from refusal import refused
from test_workload_api import RULES, Call

CART = f"spiffe://{DOMAIN}/ns/shop/sa/cart"
WEB = f"spiffe://{DOMAIN}/ns/shop/sa/web"
HERE = os.path.dirname(os.path.abspath(__file__))


def setup(stack):
    env = types.SimpleNamespace(stack=stack, place=stack.enter_context(Place()), ca=stack.enter_context(Authority(start=False)))
    env.ca.settings(workloads=RULES)
    env.proto = env.ca.path("proto")
    os.mkdir(env.proto)
    subprocess.run(["protoc", f"--proto_path={HERE}", f"--python_out={env.proto}", "workload.proto"], check=True)
    start(env)
    stack.callback(lambda: env.agent.close())
    return env


def flags(env, config=None):
    return ("--identity-mode", "embedded", "--identity-config", config or env.ca.path("identity.yaml"))


def start(env):
    env.agent = Agent(*flags(env), place=env.place)


def call(env, uid):
    one = Call(env.ca, env.proto, uid, "FetchX509SVID", {})
    env.stack.callback(one.end)
    return one


@test("workloads get their certificates of the agent's own authority, and cfcli cert its own; status and metrics tell of it", seconds=40)
def served(env):
    assert call(env, CART_UID).answer(0)["ids"] == [CART]
    done = env.ca.cli("issue", WEB, "--out", env.ca.path("web"))
    assert done.returncode == 0, done.stderr
    assert env.ca.cli("verify", env.ca.path("web/svid.pem")).returncode == 0
    said = next(one for one in env.agent.status()["functions"] if one["name"] == "identity")
    assert said["hook"] == "embedded" and not said["degraded"] and f"issues for {DOMAIN}" in said["detail"], said
    assert "embedded" in env.agent.cfcli("status").stdout
    samples = env.agent.metrics()
    assert total(samples, "cortexflow_certificates_issued_total") >= 2


@test("an agent that is killed and started again knows what was issued and revoked, and its workloads get new certificates", seconds=60)
def killed(env):
    kept = env.ca.json("issue", WEB, "--out", env.ca.path("kept"))
    gone = env.ca.json("issue", WEB, "--out", env.ca.path("gone"))
    env.ca.json("revoke", gone["serial"])
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(10)
    start(env)
    states = {row["serial"]: row["state"] for row in env.ca.json("list")["certificates"]}
    assert states[kept["serial"]] == "valid" and states[gone["serial"]] == "revoked", states
    assert env.ca.cli("verify", env.ca.path("kept/svid.pem")).returncode == 0
    refused(env.ca.cli("verify", env.ca.path("gone/svid.pem")), "revoked")
    assert call(env, CART_UID).answer(0)["ids"] == [CART]


@test("SIGHUP to the agent reads who is which workload again", seconds=40)
def reloaded(env):
    standing = call(env, CART_UID)
    standing.answer(0)
    env.ca.settings(workloads=[RULES[0], RULES[1], f"{{spiffe_id: '{WEB}', uid: {CART_UID}}}"])
    env.agent.signal(signal.SIGHUP)
    wait_until(lambda: any(len(a["ids"]) == 2 for a in standing.answers()), 10, "the second identity comes")


@test("one authority a state directory: a cfidentity beside the agent is refused, and so is a second agent's", seconds=40)
def one_a_state(env):
    refused(subprocess.run(env.ca.argv(), capture_output=True, text=True, timeout=10, check=False), "another certificate authority", "state_dir")
    with Place() as other:
        refused(other.run(*flags(env)), "identity", "another certificate authority")
        assert other.pinned() == []


@test("an identity.yaml that is missing or wrong is a clear error at the start, and nothing is in the kernel then", seconds=40)
def bad_settings(env):
    with Place() as other:
        refused(other.run(*flags(env, "/none/identity.yaml")), "identity.mode is embedded", "/none/identity.yaml", "identity.config")
        wrong = other.path("identity.yaml", "trust_domain: example.org\nmood: good\n")
        refused(other.run(*flags(env, wrong)), "identity.yaml:2", "unknown key mood")
        refused(other.run("--identity-mode", "inside"), "identity.mode", "embedded, off", status=2)
        assert other.pinned() == []
        dry = other.run("--dry-run", *flags(env))
        assert dry.returncode == 0 and f"certificate authority of {DOMAIN}" in dry.stdout, dry.stdout + dry.stderr


@test("an agent that is stopped takes the sockets along, and ends the standing calls", seconds=40)
def stopped(env):
    standing = call(env, CART_UID)
    standing.answer(0)
    assert env.agent.stop() == 0
    assert not os.path.exists(env.ca.socket) and not os.path.exists(env.ca.workload_socket)
    wait_until(lambda: "UNAVAILABLE" in str(standing.answers()[-1]), 10, "the call ends")
    start(env)
