# SPDX-License-Identifier: Apache-2.0
"""cfcli policy apply, list and delete: the operator's policies beside those of the manifests, in force when the call
returns and after whatever ends the agent."""

import json
import os
import signal
import subprocess

from agent import CFCLI, wait_until
from harness import test
from policy_world import World, allow, policy


def setup(stack):
    return World(stack)


def cfcli(env, *argv, documents=None):
    """`documents` go in by standard input."""
    text = None if documents is None else "\n---\n".join(json.dumps(one) for one in documents)
    return subprocess.run([CFCLI, "--socket", env.place.socket, "policy", *argv], input=text, capture_output=True, text=True,
                          check=False, timeout=20)


def apply(env, *documents, more=()):
    return cfcli(env, "apply", "-f", "-", *more, documents=documents)


def listed(env):
    return {(row["kind"], row["name"]): row["origin"] for row in env.agent.get("/v1/policies")["policies"]}


@test("what is applied is enforced when the call returns, and no more when it is deleted; list says where policies are from", seconds=60)
def applied(env):
    env.apply([])
    env.becomes(True, True)
    done = apply(env, allow("web-only", {"serviceAccounts": ["web"]}))
    assert done.returncode == 0 and "created" in done.stdout, done
    assert env.reaches(env.web) and not env.reaches(env.thief), "at once"
    assert listed(env) == {("AuthorizationPolicy", "shop/web-only"): "operator"}
    path = env.place.path("thief.yaml", "\n---\n".join(json.dumps(one) for one in [
        allow("web-only", {"serviceAccounts": ["web"]}), allow("thief-too", {"serviceAccounts": ["thief"]})]))
    done = cfcli(env, "apply", "-f", path)
    assert done.returncode == 0 and "unchanged" in done.stdout and "created" in done.stdout, done
    assert env.reaches(env.web) and env.reaches(env.thief)
    assert cfcli(env, "delete", "shop/thief-too").returncode == 0
    assert env.reaches(env.web) and not env.reaches(env.thief), "at once"
    done = cfcli(env, "delete", "AuthorizationPolicy/shop/web-only")
    assert done.returncode == 0 and "deleted" in done.stdout, done
    assert env.reaches(env.thief) and listed(env) == {}


@test("a dry run checks and changes nothing; of several documents one that is refused refuses all, in the manifests' words", seconds=60)
def refused(env):
    env.apply([])
    env.becomes(True, True)
    kept = os.path.join(env.place.state, "policies.yaml")
    before = os.stat(kept) if os.path.exists(kept) else None
    done = apply(env, policy("nobody"), more=["--dry-run"])
    assert done.returncode == 0 and "created" in done.stdout and "dry run" in done.stdout, done
    done = apply(env, policy("nobody"), {**policy("broken"), "spec": {"rule": []}})
    assert done.returncode == 1 and "AuthorizationPolicy shop/broken: spec.rule: unknown field" in done.stderr, done
    done = apply(env, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "shop"}})
    assert done.returncode == 1 and "expected" in done.stderr, done
    assert cfcli(env, "apply", "-f", env.place.path("none.yaml")).returncode == 1
    assert env.reaches(env.thief) and listed(env) == {}
    assert (os.stat(kept) if os.path.exists(kept) else None) == before, "nothing is written"


@test("a policy that the manifests have is not the operator's to apply or delete; one that they get later counts before", seconds=60)
def contested(env):
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
    env.becomes(True, False)
    place = listed(env)[("AuthorizationPolicy", "shop/web-only")]
    assert place.startswith(env.place.path("manifests/all.yaml:")), place
    done = apply(env, policy("web-only"))
    assert done.returncode == 1 and f"is there already: {place}" in done.stderr, done
    done = cfcli(env, "delete", "shop/web-only")
    assert done.returncode == 1 and place in done.stderr, done
    env.apply([])
    env.becomes(True, True)
    assert apply(env, policy("web-only")).returncode == 0
    env.becomes(False, False)
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
    env.becomes(True, False)
    refusals = env.agent.get("/v1/services")["refusals"]
    assert any("that of the source manifests counts" in one for one in refusals), refusals
    assert cfcli(env, "delete", "shop/web-only").returncode == 0, "the operator's own goes"
    assert env.reaches(env.web) and not env.reaches(env.thief)
    env.apply([])
    env.becomes(True, True)


@test("what was applied is in force after the agent is killed, also where its pins are gone", seconds=60)
def killed(env):
    env.apply([])
    assert apply(env, allow("web-only", {"serviceAccounts": ["web"]})).returncode == 0
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    assert env.reaches(env.web) and not env.reaches(env.thief)
    env.start()
    assert env.reaches(env.web) and not env.reaches(env.thief)
    assert listed(env) == {("AuthorizationPolicy", "shop/web-only"): "operator"}
    env.agent.stop()
    assert env.place.run("--remove").returncode == 0
    wait_until(lambda: env.reaches(env.thief), 10, "as after a boot")
    env.start()
    assert env.reaches(env.web) and not env.reaches(env.thief)
    assert cfcli(env, "delete", "shop/web-only").returncode == 0
    assert env.reaches(env.thief)


@test("an operator's file that can't be read closes what it is about, is left alone, and says what to do", seconds=60)
def broken_file(env):
    env.apply([])
    assert apply(env, allow("web-only", {"serviceAccounts": ["web"]})).returncode == 0
    env.agent.stop()
    assert env.place.run("--remove").returncode == 0
    path = os.path.join(env.place.state, "policies.yaml")
    with open(path, encoding="utf-8") as file:
        good = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(good.replace('"rules"', '"ruled"'))
    env.start()
    assert not env.reaches(env.web) and not env.reaches(env.thief), "whom it lets in nobody knows"
    for done in (apply(env, policy("nobody")), cfcli(env, "delete", "shop/web-only")):
        assert done.returncode == 1 and "spec.ruled: unknown field" in done.stderr and "mend that file" in done.stderr, done
    env.agent.stop()
    with open(path, "w", encoding="utf-8") as file:
        file.write(good)
    env.start()
    wait_until(lambda: env.reaches(env.web) and not env.reaches(env.thief), 5, "as it was")
    assert cfcli(env, "delete", "shop/web-only").returncode == 0


@test("identities are listed and described by number, pod, address and SPIFFE ID, with pods, policies and table sizes", seconds=60)
def identities(env):
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
    env.becomes(True, False)
    known = env.agent.get("/v1/identities")
    web = next(row for row in known["identities"] if "shop/web" in row["pods"])
    assert web["spiffe_id"] == "spiffe://cluster.local/ns/shop/sa/web" and web["addresses"] == ["10.71.0.1"], web
    assert web["policies"] == ["shop/web-only"] and web["kind"] == "workload", web
    assert {row["kind"] for row in known["identities"]} >= {"workload", "host", "world", "unknown"}
    assert next(table for table in known["tables"] if table["name"] == "policy_targets")["entries"] == 3
    for name in (web["number"], "shop/web", "10.71.0.1", "spiffe://cluster.local/ns/shop/sa/web"):
        told = env.agent.cfcli("identity", "describe", name)
        assert told.returncode == 0 and web["number"] in told.stdout and "shop/web-only" in told.stdout, (name, told)
        assert json.loads(env.agent.cfcli("identity", "describe", name, "-o", "json").stdout)["identities"] == [web]
    listed_names = env.agent.cfcli("identity", "list", "-o", "name").stdout.split("\n")
    assert web["name"] in listed_names and "this node" in listed_names, listed_names
    assert "policy_targets: 3 of" in env.agent.cfcli("identity", "list").stdout
    unknown = env.agent.cfcli("identity", "describe", "shop/nobody")
    assert unknown.returncode == 1 and "policy knows no identity" in unknown.stderr, unknown
