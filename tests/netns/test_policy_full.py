# SPDX-License-Identifier: Apache-2.0
"""Policy tables filled for real, to their limits: who has no room is closed, the status and the metrics say so, and once
there is room again policy is as it says."""

import ipaddress
import socket

from agent import total, wait_until
from harness import test
from policy_world import PODS, World, allow, pod, policy

SECONDS = 60  # for an agent that reads 100,000 documents beside other work


def setup(stack):
    return World(stack)


def problem(env):
    return env.agent.get("/v1/policies")["problem"]


def said(env, words):
    wait_until(lambda: words in problem(env), SECONDS, words)


def filled(env, name):
    """Entries and room."""
    samples = env.agent.metrics()
    return [total(samples, f"cortexflow_bpf_map_{what}", map=name) for what in ("entries", "max_entries")]


def room_again(env):
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
    wait_until(lambda: problem(env) == "", SECONDS, "room again")
    env.becomes(True, False)


@test("rules beyond the table's room close the workload; with room again policy is as it says", seconds=180)
def rules(env):
    room_again(env)
    ports = [list(range(first, min(first + 256, 65536))) for first in range(1, 65536, 256)]
    env.apply([policy("many", rules=[{"from": [{"source": {"serviceAccounts": ["web", "thief", "default"]}}],
                                      "to": [{"operation": {"ports": some}} for some in ports]}])])
    said(env, "there is no room for the rules")
    assert not env.reaches(env.web) and not env.reaches(env.thief)
    assert "nobody may reach it" in problem(env)
    used, room = filled(env, "policy_rules")
    assert 0 <= used <= room, (used, room)
    room_again(env)


@test("CIDRs beyond their table's room close the workload", seconds=180)
def blocks(env):
    room_again(env)
    first = int(ipaddress.ip_address("10.0.0.0"))
    cidrs = [str(ipaddress.ip_address(first + 2 * i)) for i in range(36864)] + ["10.71.0.1"]
    sources = [{"source": {"ipBlocks": cidrs[i:i + 4096]}} for i in range(0, len(cidrs), 4096)]
    env.apply([policy("many", rules=[{"from": sources}])])
    said(env, "there is no room for the rules")
    assert not env.reaches(env.web) and not env.reaches(env.thief)
    room_again(env)


@test("workloads beyond the room for targets are closed, as cfcli policy check says of each; the others are as policy says", seconds=300)
def targets(env):
    room_again(env)
    served = [f"10.71.0.{100 + i}" for i in range(16)]
    for address in served:
        env.cart.ip("address", "add", address + "/24", "dev", "web")
    pods = [pod(f"server-{i}", address, account=f"server-{i}") for i, address in enumerate(served)]
    pods += [pod(f"other-{i}", None, account=f"other-{i}") for i in range(131072)]
    env.apply([policy("all", rules=[{}])], PODS + pods)
    said(env, "workloads that policies select, 65535 are possible")
    assert filled(env, "policy_targets") == [65536, 65536]
    ends = {}
    for address in served:
        checked = env.agent.get(f"/v1/policies/check?from=10.71.0.1&to={address}&port=8080")
        ends[address] = checked["refused"]
        assert env.reaches(env.web, address=address) != checked["refused"], (address, checked)
    assert any(ends.values()), "one in two should be closed"
    room_again(env)


@test("addresses beyond their room: a workload whose address is not known is closed, as a caller too, the machine is not", seconds=300)
def addresses(env):
    room_again(env)
    first = int(ipaddress.ip_address("10.0.0.0"))
    pods = []
    for i in range(16400):
        several = [str(ipaddress.ip_address(first + 16 * i + j)) for j in range(16)]
        pods.append(pod(f"many-{i}", several[0], ns="other"))
        pods[-1]["status"]["podIPs"] = [{"ip": one} for one in several]
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})], PODS + pods)
    said(env, "262144 are possible")
    assert filled(env, "policy_addresses") == [262144, 262144]
    assert not env.reaches(env.web) and not env.reaches(env.thief)
    env.agent.status()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=2):
        pass
    room_again(env)


@test("a flood of the table of who asked first closes: an answer waits until it is asked for again, a verdict stands", seconds=120)
def flooded(env):
    env.apply([policy("cart-only", selector={"matchLabels": {"app": "cart"}})])
    env.becomes(False, False)
    kept_out = env.verdict("not_allowed")
    with env.web.socket() as server, env.cart.socket() as client:
        server.bind(("10.71.0.1", 5399))
        server.settimeout(5)
        client.settimeout(0.5)

        def answered():
            server.sendto(b"!", peer)
            try:
                return client.recv(10) == b"!"
            except OSError:
                return False

        client.sendto(b"?", ("10.71.0.1", 5399))
        peer = server.recvfrom(10)[1]  # not answered yet: one that was in use outlives a flood
        for _ in range(3):
            with env.cart.socket() as other:
                for port in range(1, 65536):
                    if port == 5399:
                        continue
                    try:
                        other.sendto(b"f", ("10.71.0.1", port))
                    except ConnectionRefusedError:
                        pass
        assert not answered(), "who asked is forgotten"
        client.sendto(b"?", ("10.71.0.1", 5399))
        assert answered()
    assert not env.reaches(env.thief) and env.verdict("not_allowed") > kept_out
