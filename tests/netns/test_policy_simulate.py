# SPDX-License-Identifier: Apache-2.0
"""cfcli policy simulate against real connections: what it foretells is what the kernel then says."""

import json

from agent import wait_until
from harness import test
from policy_world import PODS, World, allow, policy


def setup(stack):
    return World(stack)


def simulate(env, *documents, since="1h"):
    path = env.place.path("tried.yaml", "\n---\n".join(json.dumps(one) for one in documents))
    done = env.agent.cfcli("policy", "simulate", "-f", path, "--since", since, "-o", "json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def changes(made):
    return {(pair["change"], pair["from"].split()[0], pair["to"].split()[0], pair["port"]): pair for pair in made["pairs"]}



@test("pairs that would newly be refused and newly let in are told with their counts and rules; nothing is changed", seconds=60)
def foretold(env):
    env.apply([policy("no-web", action="DENY", rules=[{"from": [{"source": {"serviceAccounts": ["web"]}}]}])])
    env.becomes(False, True)
    for _ in range(3):
        assert env.reaches(env.thief)
    tried = [policy("no-web", action="DENY", rules=[{"from": [{"source": {"serviceAccounts": ["thief"]}}]}])]

    def told():
        made = changes(simulate(env, *tried))
        refused = made.get(("newly_refused", "shop/thief", "shop/default", 8080))
        allowed = made.get(("newly_allowed", "shop/web", "shop/default", 8080))
        return (refused, allowed) if refused and allowed and refused["connections"] >= 3 else None

    refused, allowed = wait_until(told, 10, "both")
    assert refused["after"]["rules"] == ["shop/no-web[0]"] and refused["after"]["verdict"] == "denied", refused
    assert allowed["before"]["verdict"] == "denied" and not allowed["after"]["refused"], allowed
    assert not env.reaches(env.web) and env.reaches(env.thief), "nothing is changed"
    assert [row["origin"] == "operator" for row in env.agent.get("/v1/policies")["policies"]] == [False]
    env.apply(tried)
    env.becomes(True, False)


@test("a connection between two sockets of this node counts once, and open ones count; the window is told", seconds=60)
def counted(env):
    env.apply([])
    env.becomes(True, True)
    kept = env.connect(env.thief)
    assert kept and env.talks(kept)
    tried = [allow("web-only", {"serviceAccounts": ["web"]})]
    before = simulate(env, *tried, since="0s")
    pair = changes(before)[("newly_refused", "shop/thief", "shop/default", 8080)]
    assert pair["connections"] == 1 and before["records"] == 0 and before["open"] >= 2, before
    kept.close()
    assert before["window"]["since"] and before["window"]["end"], before["window"]
    table = env.agent.cfcli("policy", "simulate", "-f", env.place.path("tried.yaml"))
    assert "identities are those of now" in table.stdout and "newly_refused" in table.stdout, table


@test("an end that nobody knows is said to be unknown; documents that can't be used are refused", seconds=60)
def unknown(env):
    env.agent.stop()
    env.start("--policy-workload-ranges", "10.71.1.0/24", "--policy-unknown", "allow")
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})], PODS[:2])
    wait_until(lambda: env.reaches(env.thief) and env.verdict("unknown_passed") > 0, 10, "who isn't known may")
    made = wait_until(lambda: simulate(env, policy("nobody"))["totals"]["unknown"]["connections"], 10, "an unknown end")
    assert made >= 1
    done = env.agent.cfcli("policy", "simulate", "-f", env.place.path("bad.yaml", "kind: Pod\napiVersion: v1\nmetadata: {name: a}\n"))
    assert done.returncode == 1 and "nothing was tried" in done.stderr, done
