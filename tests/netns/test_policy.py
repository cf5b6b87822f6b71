# SPDX-License-Identifier: Apache-2.0
"""AuthorizationPolicy, with real servers and callers in namespaces of their own: who gets through, and who doesn't,
while policies and pods change and while the agent is gone."""

import os
import signal
import socket
import subprocess

import isolation
from agent import total, wait_until
from harness import test
from policy_world import CART, PODS, World, allow, pod, policy


def setup(stack):
    return World(stack)


@test("without a policy everybody may; an ALLOW rule lets in whom it names, and nobody else, over IPv4 and IPv6", seconds=60)
def allowed(env):
    env.apply([])
    env.becomes(True, True)
    assert not any(os.path.basename(name).startswith("policy") for name in env.place.pinned())
    env.apply([allow("web-only", {"serviceAccounts": ["web"]}, ports=[8080], protocols=["TCP"])])
    env.becomes(True, False)
    six, web6 = pod("cart6", "fd71::2", labels={"app": "cart"}), pod("web6", "fd71::1", account="web")
    env.write(PODS + [six, allow("web-only", {"serviceAccounts": ["web"]})])
    wait_until(lambda: not env.reaches(env.web, address="fd71::2"), 10, "an address that no pod has is nobody's")
    env.write(PODS + [six, web6, allow("web-only", {"serviceAccounts": ["web"]})])
    wait_until(lambda: env.reaches(env.web, address="fd71::2"), 10, "IPv6 is let in too")


@test("DENY comes before ALLOW, and each verdict and rule is counted; cfcli says the same as the kernel", seconds=60)
def denied(env):
    thief = "spiffe://cluster.local/ns/shop/sa/thief"
    env.apply([allow("all"), policy("no-thief", action="DENY", rules=[{"from": [{"source": {"principals": [thief]}}]}])])
    env.becomes(True, False)
    wait_until(lambda: not env.reaches(env.thief) and env.reaches(env.web) and env.verdict("denied") > 0, 10, "it is counted")
    assert env.verdict("allowed") > 0
    rules = {labels["rule"] for name, labels, _ in env.agent.metrics() if name == "cortexflow_policy_rule_hits_total"}
    assert {"shop/all[0]", "shop/no-thief[0]"} <= rules, rules
    checked = env.agent.cfcli("policy", "check", "shop/thief", "shop/cart:8080")
    assert "refused: denied by shop/no-thief[0]" in checked.stdout, checked
    checked = env.agent.cfcli("policy", "check", "10.71.0.1", f"{CART}:8080")
    assert "passes: allowed by shop/all[0]" in checked.stdout, checked
    explained = env.agent.cfcli("explain", "shop/thief", f"{CART}:8080").stdout
    assert f"{CART}:8080: refused (denied by shop/no-thief[0])" in explained, explained
    listed = env.agent.cfcli("policy", "list")
    assert "shop/no-thief" in listed.stdout and "DENY" in listed.stdout, listed
    refused = env.agent.cfcli("policy", "check", "shop/nobody", "shop/cart:8080")
    assert refused.returncode == 1 and "there is no pod shop/nobody" in refused.stderr, refused


@test("an ALLOW policy without rules is its namespace's default deny; a workload still reaches itself", seconds=60)
def default_deny(env):
    env.apply([policy("nobody")], [pod("cart", CART, netns=env.cart.path)] + PODS[1:])
    env.becomes(False, False)
    assert env.reaches(env.cart, address="127.0.0.1") and env.reaches(env.cart)
    assert env.reaches(env.cart, address="::1")
    assert not env.reaches(env.web, address="fd71::2"), "it is known by its network namespace: no address of it is open"
    env.apply([])
    env.becomes(True, True)


@test("audit mode lets pass what it would refuse, and counts it", seconds=60)
def audited(env):
    before = env.verdict("would_not_allow")
    env.apply([policy("nobody", mode="audit")])
    wait_until(lambda: env.reaches(env.thief) and env.verdict("would_not_allow") > before, 10, "it is counted")
    env.apply([policy("no-thief", action="DENY", mode="audit", rules=[{"from": [{"source": {"serviceAccounts": ["thief"]}}]}])])
    wait_until(lambda: env.reaches(env.thief) and env.verdict("would_deny") > 0, 10, "that too")


@test("callers are told by CIDR too", seconds=60)
def by_cidr(env):
    env.apply([policy("near", rules=[{"from": [{"source": {"ipBlocks": ["10.71.1.0/24"]}}]}])])
    env.becomes(False, True)
    env.apply([policy("near", rules=[{"from": [{"source": {"ipBlocks": ["10.71.0.0/16"]}}]}]),
               policy("but", action="DENY", rules=[{"from": [{"source": {"ipBlocks": ["10.71.1.1/32"]}}]}])])
    env.becomes(True, False)


@test("UDP: datagrams are judged, answers to what a workload asked are not", seconds=60)
def udp(env):
    env.apply([allow("web-only", {"serviceAccounts": ["web"]}, protocols=["UDP"])])
    wait_until(lambda: (env.asks(env.web), env.asks(env.thief)) == (True, False), 10, "web may, thief may not")
    assert not env.reaches(env.web), "TCP is not allowed"
    env.apply([policy("nobody")], PODS)
    wait_until(lambda: not env.asks(env.web), 10, "nobody may")
    with env.web.socket() as server:
        server.bind(("10.71.0.1", 5354))
        env.apply([policy("cart-only", selector={"matchLabels": {"app": "cart"}})])  # nobody may call cart; web is open
        wait_until(lambda: env.verdict("not_allowed") > 0, 5, "in force")
        with env.cart.socket() as client:
            client.sendto(b"?", ("10.71.0.1", 5354))
            data, peer = server.recvfrom(10)
            server.sendto(data, peer)
            assert client.recv(10) == b"?"
            with env.web.socket() as stranger:
                stranger.sendto(b"!", (CART, client.getsockname()[1]))
            client.settimeout(0.5)
            try:
                raise AssertionError(f"a stranger's datagram came through: {client.recv(10)!r}")
            except TimeoutError:
                pass


@test("an established connection is judged again when policy tightens, from before there was a policy too", seconds=60)
def tightened(env):
    env.apply([])
    wait_until(lambda: env.reaches(env.thief), 10, "open")
    old = wait_until(lambda: env.connect(env.thief), 5, "a connection")
    assert env.talks(old)
    env.apply([allow("all")])
    wait_until(lambda: env.verdict("allowed") > 0 and env.talks(old), 10, "it goes on")
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
    wait_until(lambda: not env.talks(old), 10, "it is cut")
    assert total(env.agent.metrics(), "cortexflow_policy_events_total", event="judged_again") > 0
    env.apply([allow("all")])
    wait_until(lambda: env.talks(old, 3), 20, "what is retransmitted gets through once it may")
    old.close()


@test("cart calls out though nobody may call it", seconds=60)
def outwards(env):
    env.apply([policy("cart-only", selector={"matchLabels": {"app": "cart"}})])
    env.becomes(False, False)
    with env.web.socket(kind=socket.SOCK_STREAM) as listener:
        listener.bind(("10.71.0.1", 9090))
        listener.listen()
        with env.cart.socket(kind=socket.SOCK_STREAM) as caller:
            caller.connect(("10.71.0.1", 9090))
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(b"hello")
                assert caller.recv(10) == b"hello"
                caller.sendall(b"hi")
                assert accepted.recv(10) == b"hi"


@test("an address that passes to another pod takes none of the rights along", seconds=60)
def reused(env):
    for _ in range(3):
        env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
        env.becomes(True, False)
        kept = env.connect(env.web)
        assert kept and env.talks(kept)
        env.apply([allow("web-only", {"serviceAccounts": ["web"]})],
                  [PODS[0], pod("other", "10.71.0.1", account="thief"), pod("moved", "10.71.1.1", account="web")])
        env.becomes(False, True)
        assert not env.talks(kept), "a connection of the pod before"
        kept.close()


@test("a caller that no pod has yet waits for its pod, where workloads' addresses are known by their range", seconds=60)
def late(env):
    env.agent.stop()
    env.start("--policy-workload-ranges", "10.71.1.0/24")
    env.apply([policy("no-web", action="DENY", rules=[{"from": [{"source": {"serviceAccounts": ["web"]}}]}])], PODS[:2])
    env.becomes(False, False)
    assert env.verdict("unknown_denied") > 0
    waiting = env.thief.socket(kind=socket.SOCK_STREAM)
    with waiting:
        waiting.setblocking(False)
        waiting.connect_ex((CART, 8080))  # its SYN is sent again until it is known
        env.apply([policy("no-web", action="DENY", rules=[{"from": [{"source": {"serviceAccounts": ["web"]}}]}])])
        waiting.settimeout(10)
        wait_until(lambda: env.talks(waiting, 3) if waiting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and
                   connected(waiting) else False, 15, "it gets through")
    env.agent.stop()
    env.start()


def connected(sock):
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


@test("a broken document leaves the policy as it was, and is refused with its line", seconds=60)
def broken(env):
    good = allow("web-only", {"serviceAccounts": ["web"]})
    env.apply([good])
    env.becomes(True, False)
    env.apply([{**good, "spec": {"rule": []}}])
    refusals = wait_until(lambda: env.agent.get("/v1/services")["refusals"], 5, "a refusal is shown")
    assert "AuthorizationPolicy shop/web-only: spec.rule: unknown field" in refusals[0], refusals
    assert env.reaches(env.web) and not env.reaches(env.thief)


@test("the agent is killed and comes back: policy is enforced all the while, with documents that can't be read too", seconds=90)
def killed(env):
    good = allow("web-only", {"serviceAccounts": ["web"]})
    env.apply([good])
    env.becomes(True, False)
    kept = env.connect(env.web)
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    for _ in range(3):
        assert env.reaches(env.web) and not env.reaches(env.thief) and env.talks(kept)
    env.start()
    assert env.reaches(env.web) and not env.reaches(env.thief) and env.talks(kept)
    env.agent.signal(signal.SIGKILL)
    env.agent.process.wait(5)
    env.apply([{**good, "spec": {"rule": []}}])
    env.start()
    assert env.reaches(env.web) and not env.reaches(env.thief)
    function = next(f for f in env.agent.status()["functions"] if f["name"] == "authorization")
    assert function["degraded"] and "left is in force" in function["detail"], function
    env.apply([allow("thief-only", {"serviceAccounts": ["thief"]})])
    env.becomes(False, True)
    kept.close()


@test("an agent that ends leaves policy in force, unless it is told otherwise; a fresh one closes what it can't read", seconds=90)
def ended(env):
    env.apply([allow("web-only", {"serviceAccounts": ["web"]})])
    env.becomes(True, False)
    env.agent.stop()
    assert env.reaches(env.web) and not env.reaches(env.thief)
    env.start("--policy-keep-on-exit", "false")
    assert env.reaches(env.web) and not env.reaches(env.thief)
    env.agent.stop()
    assert not os.path.exists(env.place.pins), os.listdir(env.place.pins)
    assert env.reaches(env.web) and env.reaches(env.thief)
    env.apply([{**allow("web-only", {"serviceAccounts": ["web"]}), "spec": {"rule": []}}])
    env.start()
    assert not env.reaches(env.web) and not env.reaches(env.thief), "whom it lets in nobody knows"
    env.apply([])
    env.becomes(True, True)


def pods_by_cgroup(*names):
    """Cgroups, and the pods that they are; each has its name for a service account."""
    groups = [os.path.join(isolation.CGROUP, f"policy-{name}") for name in names]
    pods = [pod(name, None, account=name) for name in names]
    for one, group in zip(pods, groups):
        os.makedirs(group, exist_ok=True)
        one["metadata"]["annotations"]["cortexflow.io/cgroup"] = os.path.basename(group)
    return groups, pods


def launch(group, *argv, **options):
    shell = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', group, *argv]
    return subprocess.Popen(shell, stderr=subprocess.DEVNULL, **options)


@test("processes of the machine itself are told apart by their cgroups, as callers and as servers", seconds=60)
def by_cgroup(env):
    groups, pods = pods_by_cgroup("server", "client")
    env.apply([allow("client-only", {"serviceAccounts": ["client"]})], pods)

    def fetches(group):
        return launch(group, "curl", "-s", "--max-time", "0.7", "http://127.0.0.1:8181/", stdout=subprocess.DEVNULL).wait(10) == 0

    server = launch(groups[0], "python3", "-m", "http.server", "8181", "--bind", "127.0.0.1", cwd=env.place.path("manifests"),
                    stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: fetches(groups[1]) and not fetches(isolation.CGROUP), 15, "the client gets through, and nobody else does")
        assert not fetches(groups[0]), "nor who serves"
    finally:
        server.kill()
        server.wait(5)
        for group in groups:
            os.rmdir(group)


ECHO = """
import socket
listener = socket.create_server(("127.0.0.1", 8182))
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 8182))
print("listens", flush=True)
caller = listener.accept()[0]
while data := caller.recv(64):
    caller.sendall(data)
"""
ASK = """
import socket, sys
caller = socket.create_connection(("127.0.0.1", 8182), 5)
caller.settimeout(1.5)
for line in sys.stdin:
    try:
        caller.sendall(line.encode())
        print(caller.recv(64).decode().strip(), flush=True)
    except TimeoutError:
        print("nothing", flush=True)
"""
# Each is looked for when it is called with: the table keeps those longer.
FLOOD = """
import socket
for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
    for port in range(1024, 65000):
        with socket.socket(type=socket.SOCK_DGRAM) as one:
            try:
                one.bind((address, port))
                one.sendto(b"", ("127.0.0.1", 8182))
            except OSError:
                pass
"""


@test("a caller that is known by its cgroup stays known when others fill the table of such callers", seconds=90)
def callers_flood(env):
    groups, pods = pods_by_cgroup("server", "client", "flooder")

    def deny(account):
        rules = [{"from": [{"source": {"serviceAccounts": [account]}}]}]
        env.apply([policy("not", action="DENY", selector={"matchLabels": {}}, rules=rules)], pods)
        wait_until(lambda: any(row["name"] == "shop/not" for row in env.agent.get("/v1/policies")["policies"]), 10, "the policy is known")

    deny("nobody")
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    server = launch(groups[0], "python3", "-c", ECHO, **piped)
    assert server.stdout.readline() == "listens\n"
    client = launch(groups[1], "python3", "-c", ASK, **piped)

    def asks():
        client.stdin.write("well?\n")
        client.stdin.flush()
        return client.stdout.readline() == "well?\n"

    try:
        assert asks()
        assert launch(groups[2], "python3", "-c", FLOOD).wait(60) == 0
        assert asks()
        deny("client")
        wait_until(lambda: not asks(), 10, "it is cut off, and not taken for the machine")
        assert env.verdict("denied") > 0
    finally:
        for process in (client, server):
            process.kill()
            process.wait(5)
        for group in groups:
            os.rmdir(group)
    env.apply([])
    env.becomes(True, True)


def egress(name, *destinations, **spec):
    """Whom the web may call."""
    rules = [{"to": list(destinations)}] if destinations else []
    return policy(name, direction="egress", selector={"matchLabels": {"app": "web"}}, **({"rules": rules} if rules else {}), **spec)


def to(port=None, **destination):
    return {**({"destination": destination} if destination else {}), **({"operation": {"ports": [port]}} if port else {})}


@test("direction egress says whom a workload may call: a connect to another fails at once, its callers are not asked", seconds=60)
def outward(env):
    env.apply([egress("nowhere")])
    env.becomes(False, True)
    with env.web.socket(kind=socket.SOCK_STREAM) as refused:
        refused.settimeout(5)
        try:
            refused.connect((CART, 8080))
            raise AssertionError("it came through")
        except PermissionError:
            pass
    assert total(env.agent.metrics(), "cortexflow_policy_verdicts_total", verdict="not_allowed", direction="out") > 0
    checked = env.agent.cfcli("policy", "check", "shop/web", "shop/cart:8080")
    assert "refused on the way out: not_allowed" in checked.stdout, checked
    env.apply([egress("cart-alone", to(8080, podLabels={"app": "cart"}), to(1, serviceAccounts=["web"]))])
    env.becomes(True, True)
    assert not env.asks(env.web), "not that port"
    env.apply([egress("not-there", to(ipBlocks=[f"{CART}/32"]), action="DENY")])
    env.becomes(False, True)
    listed = {row["name"]: row["direction"] for row in env.agent.get("/v1/policies")["policies"]}
    assert listed == {"shop/not-there": "out"}, listed
    before = total(env.agent.metrics(), "cortexflow_policy_verdicts_total", verdict="would_not_allow", direction="out")
    env.apply([egress("nowhere", mode="audit")])
    env.becomes(True, True)
    after = total(env.agent.metrics(), "cortexflow_policy_verdicts_total", verdict="would_not_allow", direction="out")
    assert after > before


@test("a policy that comes and can't be read closes its namespace to callers, one of egress what it calls too, until it is mended", seconds=60)
def comes_broken(env):
    env.apply([])
    env.becomes(True, True)
    env.apply([{**policy("new"), "spec": {"rule": []}}])
    env.becomes(False, False)
    function = next(f for f in env.agent.status()["functions"] if f["name"] == "authorization")
    assert function["degraded"] and "nobody may reach the workloads of shop" in function["detail"], function
    with env.web.socket(kind=socket.SOCK_STREAM) as listener:
        listener.bind(("10.71.0.1", 9091))
        listener.listen()
        env.apply([{**policy("new", ns="other"), "spec": {"rule": []}}])
        env.becomes(True, True)
        elsewhere = [one for one in PODS if one["metadata"]["name"] != "web"]
        env.apply([{**policy("new"), "spec": {"rule": [], "direction": "ingress"}}], elsewhere)
        wait_until(lambda: not env.reaches(env.thief), 10, "closed to callers")
        assert env.connect(env.cart, 9091, "10.71.0.1"), "it still calls"
        env.apply([{**policy("new"), "spec": {"rule": [], "direction": "egress"}}], elsewhere)
        wait_until(lambda: not env.connect(env.cart, 9091, "10.71.0.1"), 10, "it calls nobody")
    env.apply([])
    env.becomes(True, True)
