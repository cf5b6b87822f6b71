# SPDX-License-Identifier: Apache-2.0
"""Kubernetes NetworkPolicy, enforced at the sockets of pods that are known by their addresses, with curl and dig: what comes
in, what goes out, while policies, labels and the agent come and go."""

import errno
import json
import os
import socket

from agent import total, wait_until
from harness import test
from network_policy_world import ADDRESS, ADDRESS6, ADMIN, DNS, HTTP, NODE, PODS, World, everywhere, network_policy, of, pod

CART = {"matchLabels": {"app": "cart"}}
DENY_IN, DENY_OUT = {"policyTypes": ["Ingress"]}, {"policyTypes": ["Egress"]}


def setup(stack):
    return World(stack)


def to_cart(**who):
    return {(name, "cart"): reaches for name, reaches in who.items()}


@test("an empty NetworkPolicy isolates its namespace's pods for what comes in, but not from the node, nor others' pods", seconds=60)
def isolated(env):
    env.apply()
    env.becomes(to_cart(web=True, db=True, outside=True, node=True))
    env.apply(network_policy("nobody"))
    env.becomes({**to_cart(web=False, db=False, outside=False, node=True), ("web", "db"): True, ("cart", "db"): True})
    assert not env.reaches("web", "cart", six=True) and env.reaches("node", "cart", six=True)
    assert env.reaches("cart", "127.0.0.1") and env.reaches("cart", "cart"), "itself"
    assert not env.digs("web", "cart")[0] and env.digs("cart", "db")[0], "UDP too; answers to what it asks come in"
    assert env.verdict("not_in_network", "in") > 0 and env.verdict("node", "in") > 0
    env.apply()
    env.becomes(to_cart(web=True, db=True, outside=True))


@test("ingress: pods, namespaces whose labels change, both together, blocks without their exceptions", seconds=90)
def ingress(env):
    env.apply(network_policy("web", podSelector=CART, ingress=[{"from": [of(app="web")]}]))
    env.becomes(to_cart(web=True, db=False, outside=False))
    assert env.reaches("web", "cart", six=True) and not env.reaches("db", "cart", six=True)
    team = network_policy("team", podSelector=CART, ingress=[{"from": [everywhere(team="b")]}])
    env.apply(team)
    env.becomes(to_cart(web=False, db=True, outside=False))
    env.apply(team, other={"team": "c"})
    env.becomes(to_cart(web=False, db=False, outside=False))
    env.apply(team, other={"team": "b"})
    env.becomes(to_cart(web=False, db=True, outside=False))
    name = {"kubernetes.io/metadata.name": "other"}
    env.apply(network_policy("both", podSelector=CART, ingress=[{"from": [{**everywhere(**name), **of(app="web")}]}]))
    env.becomes(to_cart(web=False, db=False, outside=False))
    env.apply(network_policy("block", podSelector=CART, ingress=[
        {"from": [{"ipBlock": {"cidr": "10.72.0.0/16", "except": [f"{ADDRESS['db']}/32"]}}]}]))
    env.becomes(to_cart(web=True, db=False, outside=True))
    env.apply(network_policy("block", podSelector=CART, ingress=[
        {"from": [{"ipBlock": {"cidr": "10.72.0.0/16", "except": ["10.72.3.0/24"]}}]}]),
        network_policy("db", podSelector=CART, ingress=[{"from": [everywhere(team="b")]}]))
    env.becomes(to_cart(web=True, db=True, outside=True))


@test("ingress: ports by number, by the name that the pod's container gives it, and in a range; TCP is not UDP", seconds=60)
def ports(env):
    env.apply(network_policy("ports", podSelector=CART, ingress=[{"ports": [{"port": "http"}]}]))
    wait_until(lambda: (env.reaches("web", "cart"), env.reaches("web", "cart", port=ADMIN)) == (True, False), 10, "the named one")
    assert not env.digs("web", "cart")[0]
    env.apply(network_policy("ports", podSelector=CART, ingress=[{"ports": [{"port": 9000, "endPort": 9100}, {"port": "dns", "protocol": "UDP"}]}]))
    wait_until(lambda: (env.reaches("web", "cart"), env.reaches("web", "cart", port=ADMIN)) == (False, True), 10, "the range")
    assert env.digs("web", "cart")[0]


@test("egress: what is allowed gets out and nothing else does; connects and sends fail at once; answers always pass", seconds=90)
def egress(env):
    env.apply(network_policy("none", podSelector=CART, **DENY_OUT))
    env.becomes({("cart", "web"): False, ("cart", "outside"): False, ("cart", "db"): False, ("web", "cart"): True, ("web", "db"): True})
    assert not env.reaches("cart", "web", six=True)
    assert env.digs("web", "cart")[0], "it answers"
    assert env.reaches("cart", NODE["cart"], port=0) is False and env.reaches("cart", "cart")
    assert not env.digs("cart", "web")[0]
    with env.pods["cart"].socket() as made:
        try:
            made.sendto(b"?", (ADDRESS["web"], DNS))
            raise AssertionError("a datagram got out")
        except PermissionError as error:
            assert error.errno == errno.EPERM
    for family, address in ((socket.AF_INET, ADDRESS["web"]), (socket.AF_INET6, ADDRESS6["web"]), (socket.AF_INET, NODE["web"])):
        with env.pods["cart"].socket(family, socket.SOCK_STREAM) as made:
            try:
                made.connect((address, HTTP))
                raise AssertionError("a connect got out")
            except PermissionError as error:
                assert error.errno == errno.EPERM and address != NODE["web"]
            except ConnectionRefusedError:
                assert address == NODE["web"], "the node, where nobody listens"
    assert env.verdict("not_in_network", "out") > 0
    env.apply(network_policy("some", podSelector=CART, egress=[
        {"to": [of(app="web")], "ports": [{"port": HTTP}, {"port": DNS, "protocol": "UDP"}]},
        {"to": [everywhere(team="b")], "ports": [{"port": "http"}]},
        {"to": [{"ipBlock": {"cidr": "10.72.4.0/24", "except": ["10.72.4.128/25"]}}], "ports": [{"port": ADMIN}]}]))
    env.becomes({("cart", "web"): True, ("cart", "db"): True, ("cart", "outside"): False})
    assert not env.reaches("cart", "web", port=ADMIN) and not env.reaches("cart", "db", port=ADMIN)
    assert env.digs("cart", "web")[0] and not env.digs("cart", "db")[0]
    env.apply(network_policy("some", podSelector=CART, egress=[{"to": [{"ipBlock": {"cidr": "10.72.4.0/24", "except": ["10.72.4.128/25"]}}]}]))
    env.becomes({("cart", "web"): False, ("cart", "outside"): True})
    env.apply(network_policy("some", podSelector=CART, egress=[{"to": [{"ipBlock": {"cidr": "10.72.4.0/24", "except": ["10.72.4.0/25"]}}]}]))
    env.becomes({("cart", "web"): False, ("cart", "outside"): False})


def talks(connection, timeout=0.7):
    connection.settimeout(timeout)
    try:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        return connection.recv(4096) != b""
    except (TimeoutError, PermissionError):
        return False


@test("a connection that goes out is judged again when policy tightens, and no socket keeps a verdict for another peer", seconds=60)
def tightened(env):
    env.apply()
    wait_until(lambda: env.reaches("cart", "web"), 10, "open")
    with env.pods["cart"].socket(kind=socket.SOCK_STREAM) as kept:
        kept.connect((ADDRESS["web"], HTTP))
        env.apply(network_policy("none", podSelector=CART, **DENY_OUT))
        wait_until(lambda: not env.reaches("cart", "web"), 10, "closed")
        wait_until(lambda: not talks(kept), 10, "it is cut")
        env.apply()
        wait_until(lambda: talks(kept, 3), 15, "what is sent again gets through once it may")
    env.apply(network_policy("web", podSelector=CART, egress=[{"to": [of(app="web")]}]))
    env.becomes({("cart", "web"): True, ("cart", "db"): False})
    with env.pods["cart"].socket(kind=socket.SOCK_STREAM) as twice:
        twice.connect((ADDRESS["web"], HTTP))
        disconnect(twice)
        twice.settimeout(0.7)
        try:
            twice.connect((ADDRESS["db"], HTTP))
            raise AssertionError("the verdict on web let it reach db")
        except OSError:
            pass


def disconnect(connection):
    """connect() to AF_UNSPEC, which Python has no words for."""
    from isolation import libc
    assert libc.connect(connection.fileno(), bytes(16), 16) == 0


@test("a connection from before there was policy is cut though its listener is gone; one that went out stays", seconds=60)
def no_listener(env):
    env.apply()
    env.becomes({("db", "cart"): True, ("cart", "web"): True})
    listener = env.pods["cart"].socket(kind=socket.SOCK_STREAM)
    listener.bind((ADDRESS["cart"], 7000))
    listener.listen()
    with env.pods["db"].socket(kind=socket.SOCK_STREAM) as caller, env.pods["cart"].socket(kind=socket.SOCK_STREAM) as opened:
        caller.connect((ADDRESS["cart"], 7000))
        called = listener.accept()[0]
        listener.close()
        opened.connect((ADDRESS["web"], HTTP))
        assert talks(opened, 3)
        env.apply(network_policy("nobody", podSelector=CART, policyTypes=["Ingress"]))
        env.becomes({("db", "cart"): False, ("web", "cart"): False})
        with called:
            called.settimeout(0.7)
            caller.sendall(b"x")
            try:
                raise AssertionError(f"{called.recv(1)} came through")
            except TimeoutError:
                pass
        wait_until(lambda: talks(opened, 3), 10, "what went out stays")


def asks(asking, asked, port):
    """A datagram to web's port; answers from where it came."""
    asked.bind((ADDRESS["web"], port))
    asked.settimeout(3)
    asking.settimeout(1)
    asking.sendto(b"?", (ADDRESS["web"], port))
    return asked.recvfrom(10)[1]


@test("answers by UDP come in though somebody else's policy changes meanwhile; not once the workload may not ask any more", seconds=60)
def answers(env):
    closed = network_policy("in", podSelector=CART, policyTypes=["Ingress"])
    env.apply(closed)
    env.becomes({("web", "cart"): False, ("cart", "web"): True})
    with env.pods["cart"].socket() as asking, env.pods["web"].socket() as asked:
        peer = asks(asking, asked, 7001)
        env.apply(closed, network_policy("other", ns="other", **DENY_IN))
        env.becomes({("web", "db"): False})
        asked.sendto(b"!", peer)
        assert asking.recv(10) == b"!"
        env.apply(closed, network_policy("out", podSelector=CART, **DENY_OUT))
        env.becomes({("cart", "web"): False})
        asked.sendto(b"!", peer)
        try:
            raise AssertionError(f"{asking.recv(10)} came in")
        except TimeoutError:
            pass


@test("answers by UDP don't come in any more once the address that was asked is another workload's", seconds=60)
def next_owner(env):
    policies = (network_policy("in", podSelector=CART, policyTypes=["Ingress"]),
                network_policy("out", podSelector=CART, policyTypes=["Egress"], egress=[{"to": [of(app="web")]}]))
    env.apply(*policies)
    env.becomes({("cart", "web"): True, ("cart", "db"): False, ("web", "cart"): False})
    with env.pods["cart"].socket() as asking, env.pods["web"].socket() as asked:
        peer = asks(asking, asked, 7002)
        asked.sendto(b"!", peer)
        assert asking.recv(10) == b"!"
        # Both identities were there before, and both still are: only who has which address is another.
        moved, heir = pod("web"), pod("db")
        moved["status"] = {"podIP": "10.72.99.2", "podIPs": [{"ip": "10.72.99.2"}]}
        heir["metadata"]["name"], heir["status"] = "heir", pod("web")["status"]
        env.apply(*policies, pods=[pod("cart"), pod("db"), moved, heir])
        env.becomes({("cart", "web"): False})
        asked.sendto(b"!", peer)
        try:
            raise AssertionError(f"{asking.recv(10)} came in")
        except TimeoutError:
            pass


@test("a pod that may call nobody reaches itself, by any address of its own", seconds=60)
def itself(env):
    env.pods["cart"].ip("address", "add", "172.17.0.1/32", "dev", "lo")
    env.apply(network_policy("none", podSelector=CART, **DENY_OUT))
    env.becomes({("cart", "web"): False})
    for to in ("127.0.0.1", ADDRESS["cart"], "0.0.0.0", "172.17.0.1"):
        assert env.reaches("cart", to), to
    assert env.curl("cart", "web")[0] == 7, "others are refused at once"
    done = env.agent.cfcli("policy", "check", "shop/cart", "shop/cart:8080")
    assert "own" in done.stdout and "refused" not in done.stdout, done.stdout
    done = env.agent.cfcli("policy", "check", "shop/cart", "127.0.0.1:8080")
    assert done.returncode != 0 and "give NAMESPACE/POD" in done.stderr, done


@test("pins that somebody takes away are made again, so that policy outlives the agent all the same", seconds=60)
def pins(env):
    env.apply(network_policy("none", podSelector=CART, **DENY_OUT))
    env.becomes({("cart", "web"): False})
    taken = [path for path in env.place.pinned() if os.path.basename(path).startswith("policy_")]
    for path in taken:
        os.unlink(path)
    wait_until(lambda: set(taken) <= set(env.place.pinned()), 10, "they are there again")
    env.kill()
    assert not env.reaches("cart", "web")
    env.start()


@test("a service's address is judged as the backend that it becomes", seconds=60)
def services(env):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
               "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80, "targetPort": HTTP}]}}
    slices = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
              "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
              "ports": [{"port": HTTP}], "endpoints": [{"addresses": [ADDRESS["web"]]}]}
    env.apply(service, slices)
    wait_until(lambda: env.reaches("cart", "10.96.0.7", port=80), 10, "it is translated")
    env.apply(service, slices, network_policy("none", podSelector=CART, egress=[{"to": [{"ipBlock": {"cidr": "10.96.0.0/16"}}]}]))
    wait_until(lambda: not env.reaches("cart", "10.96.0.7", port=80), 10, "the service's own address opens nothing")
    env.apply(service, slices, network_policy("web", podSelector=CART, egress=[{"to": [of(app="web")], "ports": [{"port": HTTP}]}]))
    wait_until(lambda: env.reaches("cart", "10.96.0.7", port=80), 10, "the backend does")
    env.kill()
    env.start()
    for _ in range(3):
        assert env.reaches("cart", "10.96.0.7", port=80), "whatever programs are attached first"


@test("NetworkPolicy and AuthorizationPolicy both have to let a caller in; cfcli says which decided, at which end", seconds=60)
def both(env):
    authorization = {"apiVersion": "cortexflow.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": "cart", "namespace": "shop"},
                     "spec": {"selector": CART, "rules": [{"to": [{"operation": {"ports": [HTTP]}}]}]}}
    network = network_policy("cart", podSelector=CART, ingress=[{"from": [of(app="web")]}])
    env.apply(authorization, network, network_policy("db", ns="other", egress=[{"ports": [{"port": ADMIN}]}]))
    env.becomes(to_cart(web=True, db=False, outside=False, node=True))
    assert not env.reaches("web", "cart", port=ADMIN), "AuthorizationPolicy refuses"

    def check(*argv):
        return env.agent.cfcli("policy", "check", *argv).stdout

    assert "passes: allowed by shop/cart[0] and NetworkPolicy shop/cart ingress[0]" in check("shop/web", f"shop/cart:{HTTP}")
    assert "refused: not_allowed" in check("shop/web", f"shop/cart:{ADMIN}")
    said = check("other/db", f"shop/cart:{HTTP}")
    assert "refused on the way out: not_in_network" in said and "at the called workload: not_in_network" in said, said
    assert "NetworkPolicy other/db" in said, said
    assert "refused: not_in_network" in check("other/db", f"{ADDRESS['cart']}:{ADMIN}")
    assert "from this node" in check(NODE["cart"], f"shop/cart:{HTTP}")
    assert env.agent.cfcli("policy", "check", "other/db", f"shop/cart:{HTTP}", "--output", "json").returncode == 0
    rows = {(row["kind"], row["name"]): row for row in env.agent.get("/v1/policies")["policies"]}
    assert rows["NetworkPolicy", "shop/cart"]["hits"] > 0 and rows["NetworkPolicy", "shop/cart"]["workloads"] == 1, rows
    assert rows["NetworkPolicy", "other/db"]["direction"] == "both" or rows["NetworkPolicy", "other/db"]["direction"] == "out", rows
    listed = env.agent.cfcli("policy", "list").stdout
    assert "NetworkPolicy" in listed and "AuthorizationPolicy" in listed, listed


def node_object(name, *addresses):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": one} for one in addresses] + [{"type": "Hostname", "address": name}]}}


@test("this node, other nodes, the world and workloads that are not of the mesh are told apart, and may be named by policies", seconds=120)
def entities(env):
    def only(*names):
        return {"apiVersion": "cortexflow.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": "only", "namespace": "shop"},
                "spec": {"selector": CART, "rules": [{"from": [{"source": {"entities": list(names)}}]}]}}

    def kinds():
        answer = json.loads(env.agent.cfcli("identity", "list", "-o", "json").stdout)
        return {address: row["kind"] for row in answer["identities"] for address in row["addresses"]}

    there = node_object("there", ADDRESS["outside"], ADDRESS6["outside"])
    disabled = [pod("cart"), pod("web", labels={**PODS["web"][1], "cortexflow.io/mesh": "disabled"}), pod("db")]
    callers = ("web", "db", "outside", "node")
    for entity, objects, pods, who in (("world", (), None, "outside"), ("node", (there,), None, "outside"), ("host", (there,), None, "node"),
                                       ("unmanaged", (there,), disabled, "web")):
        env.apply(only(entity), *objects, pods=pods)
        env.becomes(to_cart(**{name: name == who for name in callers}))
    assert kinds()[ADDRESS["outside"]] == "node" and kinds()[ADDRESS["web"]] == "unmanaged" and kinds()[NODE["cart"]] == "host"
    env.apply(only("world"), there)
    env.becomes(to_cart(**dict.fromkeys(callers, False)))
    assert not env.reaches("outside", "cart", six=True)
    checked = env.agent.cfcli("policy", "check", ADDRESS["outside"], f"shop/cart:{HTTP}").stdout
    assert "from another node" in checked, checked
    # One that has opted out is selected by no AuthorizationPolicy, and by NetworkPolicies as ever.
    default_deny = {**only("world"), "spec": {}}
    env.apply(default_deny, there, pods=disabled)
    env.becomes({("db", "cart"): False, ("db", "web"): True})
    env.apply(default_deny, network_policy("nobody"), there, pods=disabled)
    env.becomes({("db", "cart"): False, ("db", "web"): False})
    # A whole namespace may; a pod of it may be of the mesh all the same.
    source = {"from": [{"source": {"namespaces": ["other"]}}]}
    by_name = {**only("world"), "spec": {"selector": CART, "rules": [source]}}
    for label, more, gets_in in ((None, {}, True), ("disabled", {}, False), ("disabled", {"cortexflow.io/mesh": "enabled"}, True)):
        env.apply(by_name, other={"team": "b", **({"cortexflow.io/mesh": label} if label else {})},
                  pods=[pod("cart"), pod("web"), pod("db", labels={**PODS["db"][1], **more})])
        env.becomes(to_cart(db=gets_in, web=False))


@test("a NetworkPolicy that can't be read closes its namespace both ways, but for the node, until it can be", seconds=60)
def unreadable(env):
    env.apply()
    env.becomes({**to_cart(web=True, db=True, node=True), ("web", "db"): True})
    broken = network_policy("broken", ingres=[])
    env.apply(broken)
    env.becomes({**to_cart(web=False, db=False, node=True), ("web", "db"): False, ("db", "outside"): True})
    function = next(f for f in env.agent.status()["functions"] if f["name"] == "authorization")
    assert function["degraded"] and "a NetworkPolicy there can't be read" in function["detail"], function
    assert env.verdict("closed", "in") > 0 and env.verdict("closed", "out") > 0
    env.apply(network_policy("broken", ingress=[{}]))
    env.becomes({**to_cart(web=True, db=True, node=True), ("web", "db"): True})
    env.apply(broken)
    wait_until(lambda: env.agent.get("/v1/services")["refusals"], 5, "a refusal is shown")
    assert env.reaches("web", "cart"), "what could be read before stays"
    env.apply(network_policy("broken", ingress=[{"ports": [{"port": 1024, "endPort": 60000}]}]))
    env.becomes({**to_cart(web=False, node=True), ("web", "db"): True})
    assert any("are 58977 ports" in line for line in env.agent.get("/v1/services")["refusals"])


@test("the agent is killed: both directions are enforced, by the next agent too, whatever it can read", seconds=90)
def killed(env):
    policies = (network_policy("in", podSelector=CART, ingress=[{"from": [of(app="web")]}]),
                network_policy("out", podSelector=CART, egress=[{"to": [everywhere(team="b")]}]))
    wanted = {**to_cart(web=True, db=False, node=True), ("cart", "db"): True, ("cart", "web"): False, ("cart", "outside"): False}
    env.apply(*policies)
    env.becomes(wanted)
    env.kill()
    for _ in range(3):
        assert {pair: env.reaches(*pair) for pair in wanted} == wanted
    env.start()
    assert {pair: env.reaches(*pair) for pair in wanted} == wanted
    env.kill()
    env.apply(*(json.loads(json.dumps(policy).replace('"podSelector"', '"podselector"', 1)) for policy in policies))
    env.start()
    env.becomes({**to_cart(web=False, db=False, node=True), ("cart", "db"): False, ("cart", "web"): False})
    env.apply(*policies)
    env.becomes(wanted)
    assert total(env.agent.metrics(), "cortexflow_policy_events_total", event="helper_failed") == 0
    env.apply(*policies, pods=[pod("cart"), pod("web"), {**pod("db"), "status": {}}])
    env.becomes({("cart", "db"): False})
