# SPDX-License-Identifier: Apache-2.0
"""Two cfidentity with their state in one API server, by the rights that the chart gives them: one leads, the other takes over."""

import concurrent.futures
import json
import os
import re
import signal
import subprocess
import time
import types
import urllib.request

from agent import CFCLI, ROOT, wait_until
from authority import CART_UID, DOMAIN, Authority
from harness import test
from isolation import PREFIX
from lab import Lab, free_port_in

CHART = os.path.join(ROOT, "charts", "cortexflow")
NAME, SYSTEM = "mesh-identity", "cortexflow"
CART = f"spiffe://{DOMAIN}/ns/shop/sa/cart"
SETUP_SECONDS = 120
TAKEOVER = 20  # seconds: the lease of 15, the 2 between two looks, and some for a busy machine


class Replica(Authority):
    """In the lab's network namespace, beside the API server."""

    def __init__(self, env, name):
        self.env, self.name = env, name
        self.port = free_port_in(env.lab.namespace)
        with env.lab.namespace.entered():
            super().__init__(beside=[f"listen: 127.0.0.1:{self.port}", "listen_dns_names: [localhost]",
                                     f"token_review: {{kubeconfig: {env.kubeconfig}, dns_names: ['{{service_account}}.{{namespace}}.svc']}}"])

    def state(self):
        return (f"state: {{kubernetes: {{name: {NAME}, namespace: {SYSTEM}, kubeconfig: {self.env.kubeconfig}, service: {NAME}, "
                f"replica: {self.name}, address: {self.env.address}}}}}")

    def answers(self):
        """It has heard the API server."""
        return "ready" in self.scrape("/readyz")

    def scrape(self, path="/metrics"):
        with self.env.lab.namespace.entered():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=5) as response:
                    return response.read().decode()
            except OSError:
                return ""

    def leads(self):
        return "\ncortexflow_identity_leader 1" in self.scrape()

    def start(self):
        with self.env.lab.namespace.entered():
            super().start()

    def serials(self):
        """Of all certificates that it knows, by their state."""
        return {row["serial"]: row["state"] for row in self.json("list")["certificates"] if row["spiffe_id"] == CART}


def setup(stack):
    env = types.SimpleNamespace(lab=stack.enter_context(Lab()), taken=0, address="192.0.2.7")
    env.folder = f"{env.lab.dir}/replicas"
    os.mkdir(env.folder)
    env.lab.kubectl("create", "namespace", "shop")
    env.lab.kubectl("-n", "shop", "create", "serviceaccount", "cart")
    # There is no node: its pods don't run, and the two here take their place.
    env.lab.helm("install", "mesh", CHART, "-n", SYSTEM, "--create-namespace", "--set", "identity.enabled=true")
    env.kubeconfig = kubeconfig(env, token(env, SYSTEM, NAME, "https://kubernetes.default.svc", seconds=3600))
    env.a = stack.enter_context(Replica(env, f"{PREFIX}a"))
    wait_until(env.a.leads, 15, "the first leads")
    env.b = stack.enter_context(Replica(env, f"{PREFIX}b"))
    env.bundle = env.a.path("roots.pem")
    assert env.a.cli("bundle", "--out", env.bundle).returncode == 0
    return env


def token(env, namespace, account, audience, seconds=600):
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [audience], "expirationSeconds": seconds}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return json.loads(env.lab.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(asked)))["status"]["token"]


def write(env, name, text):
    with open(f"{env.folder}/{name}", "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(text)
    return f"{env.folder}/{name}"


def kubeconfig(env, user_token):
    with open(env.lab.admin, encoding="utf-8") as file:
        config = json.load(file)
    config["users"][0]["user"] = {"token": user_token}
    return write(env, "kubeconfig", json.dumps(config))


def issue(env, replica):
    """What cfcli says, as a process of the lab's namespace, and the serial that it got."""
    env.taken += 1
    out = f"{env.folder}/svid-{env.taken}"
    shown = write(env, f"token-{env.taken}", env.token)
    done = subprocess.run(["nsenter", f"--net={env.lab.namespace.path}", CFCLI, "cert", "issue", CART, "--out", out,
                           "--server", f"https://localhost:{replica.port}", "--token-file", shown, "--ca", env.bundle],
                          capture_output=True, text=True, timeout=40, check=False)
    if done.returncode != 0:
        assert not os.path.exists(f"{out}/svid.pem"), done.stderr
        return done.stderr, None
    said = subprocess.run(["openssl", "x509", "-in", f"{out}/svid.pem", "-noout", "-serial"], capture_output=True, text=True, check=True, timeout=10)
    subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", env.bundle, f"{out}/svid.pem"], check=True, capture_output=True, timeout=10)
    return done.stderr, said.stdout.strip().split("=")[1].lower().lstrip("0")


def issued(env, replica):
    said, serial = issue(env, replica)
    assert serial, said
    return serial


def known(replica):
    return {serial.lower().lstrip("0"): state for serial, state in replica.serials().items()}


def lease(env):
    return json.loads(env.lab.kubectl("-n", SYSTEM, "get", "lease", NAME, "-o", "json"))["spec"]


def address_of_service(env):
    return json.loads(env.lab.kubectl("-n", SYSTEM, "get", "endpoints", NAME, "-o", "json")).get("subsets")


@test("of two one leads, by the chart's rights: it issues, the Lease names it, the Service leads to it, and the other listens nowhere", seconds=60)
def one_leads(env):
    env.token = token(env, "shop", "cart", "cortexflow", seconds=3600)
    env.serials = [issued(env, env.a) for _ in range(5)]
    assert lease(env)["holderIdentity"] == env.a.name
    port = wait_until(lambda: address_of_service(env), 5, "the Endpoints name the one that leads")[0]
    assert port["addresses"][0]["ip"] == env.address and {"name": "https", "port": env.a.port, "protocol": "TCP"} in port["ports"], port
    assert not env.b.leads() and env.b.answers()
    said, serial = issue(env, env.b)
    assert serial is None and "connect" in said, said
    assert "cortexflow_certificates " not in env.b.scrape()


def policy(name, block):
    return {"apiVersion": "cortexflow.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"rules": [{"from": [{"source": {"ipBlocks": [block]}}]}]}}


def fetched(env, what, name):
    return json.loads(env.lab.kubectl("-n", "shop", "get", what, name, "-o", "json"))


def condition(env, what, name, kind="Accepted"):
    return next((one for one in fetched(env, what, name).get("status", {}).get("conditions", []) if one["type"] == kind), None)


@test("the one that leads says on each policy whether agents read it, in their words, leaves others' conditions, and then writes nothing", seconds=60)
def conditions(env):
    env.lab.apply(policy("good", "198.51.100.0/24"), policy("bad", "198.51.100.0/99"),
                  {"apiVersion": "cortexflow.io/v1alpha1", "kind": "DenyList", "metadata": {"name": "scanners"}, "spec": {"entries": [{"cidr": "192.0.2.0/24"}]}},
                  {"apiVersion": "cortexflow.io/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": "cart", "namespace": "shop"},
                   "spec": {"targetRefs": [{"kind": "Service", "name": "cart"}]}})
    for what, name in (("apol", "good"), ("deny", "scanners"), ("tpol", "cart")):
        one = wait_until(lambda what=what, name=name: condition(env, what, name), 10, f"{what} {name}: {env.a.log()}")
        assert (one["status"], one["reason"], one["observedGeneration"]) == ("True", "Accepted", 1), one
    bad = wait_until(lambda: condition(env, "apol", "bad"), 10, "the bad one is judged too")
    assert (bad["status"], bad["reason"]) == ("False", "Invalid"), bad
    assert bad["message"].startswith("AuthorizationPolicy shop/bad: spec.rules[0].from[0].source.ipBlocks[0]: expected "), bad
    assert re.search(r"^bad .* False ", env.lab.kubectl("-n", "shop", "get", "apol"), re.M), "the printer's column"
    reviewed = {"type": "example.org/Reviewed", "status": "True", "reason": "Read", "message": "by hand", "lastTransitionTime": "2026-01-02T08:00:00Z"}
    both = fetched(env, "apol", "bad")
    both["status"]["conditions"].append(reviewed)
    env.lab.kubectl("replace", "--raw", "/apis/cortexflow.io/v1alpha1/namespaces/shop/authorizationpolicies/bad/status", "-f", "-", text=json.dumps(both))
    env.lab.apply(policy("bad", "198.51.100.0/25"))
    wait_until(lambda: condition(env, "apol", "bad")["status"] == "True", 10, "it is mended")
    assert condition(env, "apol", "bad")["observedGeneration"] == 2 == fetched(env, "apol", "bad")["metadata"]["generation"]
    assert condition(env, "apol", "bad", reviewed["type"]) == reviewed
    seen = fetched(env, "apol", "bad"), env.a.scrape()
    time.sleep(3)
    assert fetched(env, "apol", "bad") == seen[0]
    for kind, writes in (("AuthorizationPolicy", 3), ("DenyList", 1), ("TrafficPolicy", 1)):
        assert f'cortexflow_condition_writes_total{{kind="{kind}"}} {writes}\n' in seen[1] and f'cortexflow_condition_writes_total{{kind="{kind}"}} {writes}\n' in env.a.scrape(), seen[1]
        assert f'cortexflow_condition_failures_total{{kind="{kind}"}} 0\n' in seen[1], seen[1]
    assert "cortexflow_condition" not in env.b.scrape(), "who stands by writes none"
    assert "observedGeneration" in env.lab.kubectl("explain", "authorizationpolicy.status.conditions")


@test("a leader that is killed is followed within its lease by one that knows every certificate, issued and revoked", seconds=90)
def killed(env):
    revoked = env.serials[0]
    full = next(serial for serial in env.a.serials() if serial.lower().lstrip("0") == revoked)
    assert env.a.cli("revoke", full, "--reason", "keyCompromise").returncode == 0
    key_id = env.a.json("bundle")["issuer"]
    env.a.stop(signal.SIGKILL)
    wait_until(env.b.leads, TAKEOVER, f"the other leads: {env.b.log()}")
    assert env.b.json("bundle")["issuer"] == key_id
    seen = known(env.b)
    assert set(env.serials) <= set(seen), (env.serials, seen)
    assert seen[revoked] == "revoked" and [seen[one] for one in env.serials[1:]] == ["valid"] * 4, seen
    env.serials.append(issued(env, env.b))
    env.a.start()
    assert not env.a.leads()


@test("a leader that stood still past its lease issues nothing when it goes on, not even to those who had asked before", seconds=120)
def stopped(env):
    os.kill(env.b.process.pid, signal.SIGSTOP)
    try:
        wait_until(env.a.leads, TAKEOVER, f"the other leads: {env.a.log()}")
        env.serials.append(issued(env, env.a))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(issue, env, env.b) for _ in range(8)]
            waiting = f"sport = :{env.b.port}"  # their handshakes are in the kernel's queue
            wait_until(lambda: len(connections(env, waiting)) >= 8, 10, "all have connected")
            os.kill(env.b.process.pid, signal.SIGCONT)
            answers = [one.result() for one in asked]
    finally:
        os.kill(env.b.process.pid, signal.SIGCONT)
    assert all(serial is None for _, serial in answers), answers
    wait_until(lambda: not env.b.leads(), 5, "it has seen that the other one leads")
    assert set(known(env.a)) >= set(env.serials)
    wait_until(lambda: f"{env.a.name} leads" in env.b.log(), 5, env.b.log())
    assert env.b.process.poll() is None and env.b.answers(), env.b.log()


def connections(env, of):
    said = subprocess.run(["nsenter", f"--net={env.lab.namespace.path}", "ss", "-Htn", "state", "established", of],
                          capture_output=True, text=True, check=True, timeout=10)
    return said.stdout.splitlines()


@test("with the API server away nothing is issued, and it is said why; when it is back, the same one issues on", seconds=150)
def server_away(env):
    env.lab.signal_server(signal.SIGSTOP)
    try:
        said, serial = issue(env, env.a)
        assert serial is None and "could not be reviewed" in said, said
        # By root, who needs no review: it is not told of what is not kept.
        done = env.a.cli("issue", CART, "--out", f"{env.folder}/never")
        assert done.returncode == 1 and "mesh-identity" in done.stderr, done.stderr
        done = env.a.cli("issue", CART, "--out", f"{env.folder}/never")
        assert done.returncode == 1 and "may write no more" in done.stderr, done.stderr
    finally:
        env.lab.signal_server(signal.SIGCONT)
    leader = wait_until(lambda: next((one for one in (env.a, env.b) if one.leads()), None), 60, "one leads again")
    env.serials.append(wait_until(lambda: issue(env, leader)[1], 30, "it issues"))
    assert set(known(leader)) >= set(env.serials)
    env.leader = leader


@test("a leader that ends gives the lease back: the other one leads at once, and the Service leads to it", seconds=60)
def ended(env):
    other = env.b if env.leader is env.a else env.a
    before = lease(env)["leaseTransitions"]
    assert env.leader.stop() == 0
    wait_until(other.leads, 6, f"the other leads: {other.log()} {env.leader.log()}")
    assert lease(env)["leaseTransitions"] == before + 1
    wait_until(lambda: re.search(rf'"port": {other.port}\b', json.dumps(address_of_service(env))), 5, "the Endpoints name it")
    env.serials.append(issued(env, other))
    env.leader.start()
    env.leader = other


@test("what SIGHUP read on a stand-by holds when it leads; it refuses another trust domain, as a leader does", seconds=60)
def reread(env):
    standby = env.b if env.leader is env.a else env.a
    assert standby.curl("/v1/status").returncode != 0, "it stands by"
    path = standby.path("identity.yaml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(DOMAIN, "elsewhere.example"))
    standby.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "another trust domain needs a restart" in standby.log(), 10, standby.log())
    web = f"spiffe://{DOMAIN}/ns/shop/sa/web"
    standby.settings(workloads=[f"{{spiffe_id: {web}, uid: {CART_UID}}}"])
    standby.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "settings read again: 1 workloads" in standby.log(), 10, standby.log())
    assert env.leader.stop() == 0
    wait_until(standby.leads, 6, f"the other leads: {standby.log()}")
    folder = standby.path("web")
    os.mkdir(folder)
    os.chown(folder, CART_UID, CART_UID)
    # Of the mapping before.
    done = standby.cli("issue", CART, "--out", f"{folder}/gone", uid=CART_UID)
    assert done.returncode == 1 and not os.path.exists(f"{folder}/gone/svid.pem"), done.stderr
    done = standby.cli("issue", web, "--out", f"{folder}/svid", uid=CART_UID)
    assert done.returncode == 0, done.stderr
    env.leader.start()
    env.leader = standby


@test("whoever removes the first Secret removes all, and nothing else is left of it", seconds=120)
def removed(env):
    mine = f"{NAME}(-|$)"

    def left():
        names = json.loads(env.lab.kubectl("-n", SYSTEM, "get", "secrets", "-o", "json"))["items"]
        return [one["metadata"]["name"] for one in names if re.match(mine, one["metadata"]["name"]) and one["type"] == "Opaque"]

    assert {NAME, f"{NAME}-authorities"} < set(left()), left()
    for one in (env.a, env.b):
        assert one.stop() == 0, one.log()
    env.lab.kubectl("-n", SYSTEM, "delete", "secret", NAME)
    wait_until(lambda: set(left()) <= {f"{NAME}-passphrase"}, 60, f"the rest has gone: {left()}")
