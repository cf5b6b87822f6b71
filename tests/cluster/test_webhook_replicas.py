# SPDX-License-Identifier: Apache-2.0
"""The admission webhook of two cfidentity with their state in one API server, by the rights that the chart gives them: both serve it."""

import json
import os
import signal
import subprocess
import types

from agent import ROOT, wait_until
from authority import Authority
from harness import test
from isolation import PREFIX
from lab import Lab, free_port_in

SETUP_SECONDS = 150
CHART = os.path.join(ROOT, "charts", "cortexflow")
SYSTEM, NAME = "cortexflow", "mesh-identity"
TOKEN = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{NAME}/token"
HOST = f"mesh-webhook.{SYSTEM}.svc"


class Replica(Authority):
    """In the lab's network namespace, beside the API server."""

    def __init__(self, env, name):
        self.env, self.name = env, name
        self.port = free_port_in(env.lab.namespace)
        with env.lab.namespace.entered():
            super().__init__(beside=[f"webhook: {{listen: 127.0.0.1:{self.port}, dns_names: [{HOST}], configuration: mesh, kubeconfig: {env.kubeconfig}}}"])

    def state(self):
        return f"state: {{kubernetes: {{name: {NAME}, namespace: {SYSTEM}, kubeconfig: {self.env.kubeconfig}, replica: {self.name}}}}}"

    def inside(self, *argv, text=""):
        return subprocess.run(["nsenter", f"--net={self.env.lab.namespace.path}", *argv], input=text, capture_output=True, text=True, timeout=15, check=False)

    def scrape(self, path="/metrics"):
        return self.inside("curl", "-sS", f"http://127.0.0.1:{self.metrics_port}{path}").stdout

    def answers(self):
        return "ready" in self.scrape("/readyz")

    def leads(self):
        return "\ncortexflow_identity_leader 1" in self.scrape()

    def serial(self):
        """Of the certificate that it serves with; nothing where it serves none."""
        served = self.inside("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-servername", HOST).stdout
        said = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=served, capture_output=True, text=True, check=False).stdout
        return said.strip().partition("=")[2].lower()

    def mutate(self):
        """What it answers to whoever knows it by the roots alone."""
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                  "request": {"uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "namespace": "shop",
                              "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}}}
        done = self.inside("curl", "-sS", "--fail", "--cacert", self.env.bundle, "--resolve", f"{HOST}:{self.port}:127.0.0.1", "-H", "Content-Type: application/json",
                           "--data-binary", "@-", f"https://{HOST}:{self.port}/mutate", text=json.dumps(review))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["response"]

    def start(self):
        with self.env.lab.namespace.entered():
            super().start()


def setup(stack):
    env = types.SimpleNamespace(lab=stack.enter_context(Lab()))
    # There is no node: its pods don't run, and the two here take their place.
    env.lab.helm("install", "mesh", CHART, "-n", SYSTEM, "--create-namespace", "--set", "identity.enabled=true,webhook.enabled=true")
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["https://kubernetes.default.svc"]}}
    token = json.loads(env.lab.kubectl("create", "--raw", TOKEN, "-f", "-", text=json.dumps(asked)))["status"]["token"]
    with open(env.lab.admin, encoding="utf-8") as file:
        config = json.load(file)
    config["users"][0]["user"] = {"token": token}
    env.kubeconfig = f"{env.lab.dir}/replica.kubeconfig"
    with open(env.kubeconfig, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        json.dump(config, file)
    env.a = stack.enter_context(Replica(env, f"{PREFIX}a"))
    wait_until(env.a.leads, 15, "the first leads")
    env.b = stack.enter_context(Replica(env, f"{PREFIX}b"))
    env.bundle = env.a.path("roots.pem")
    assert env.a.cli("bundle", "--out", env.bundle).returncode == 0
    wait_until(lambda: env.a.serial() and env.a.serial() == env.b.serial(), 20, "both serve with the same certificate")
    return env


def bundles(env):
    out = []
    for kind in ("mutating", "validating"):
        one = json.loads(env.lab.kubectl("get", f"{kind}webhookconfiguration", "mesh", "-o", "json"))
        out += [webhook["clientConfig"].get("caBundle") for webhook in one["webhooks"]]
    return out


@test("the replica that stands by serves the webhook as the one that leads does, and is ready only then", seconds=40)
def both(env):
    assert not env.b.leads() and env.b.answers()
    for replica in (env.a, env.b):
        assert replica.mutate()["allowed"] and replica.mutate()["patchType"] == "JSONPatch"
        assert 'cortexflow_admission_requests_total{path="/mutate",outcome="enrolled"}' in replica.scrape()
    wait_until(lambda: all(bundles(env)), 15, "the one that leads keeps the roots")
    assert "cortexflow_admission_ca_bundle_current" not in env.b.scrape()


@test("a certificate that is revoked is replaced at both", seconds=40)
def replaced(env):
    before = env.a.serial()
    assert env.a.cli("revoke", before).returncode == 0
    wait_until(lambda: before not in (env.a.serial(), env.b.serial()) and env.a.serial() == env.b.serial(), 25, "another one is served by both")
    env.b.mutate()


@test("when the one that leads is killed, the other one's answers don't stop, and it keeps the roots from then on", seconds=70)
def killed(env):
    served = env.b.serial()
    env.a.stop(signal.SIGKILL)
    for _ in range(20):
        env.b.mutate()
    wait_until(env.b.leads, 30, "the other one leads")
    env.b.mutate()
    assert env.b.serial() == served, "the next leader goes on with what is there"
    env.lab.kubectl("patch", "mutatingwebhookconfiguration", "mesh", "--type=json", "-p", json.dumps([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]))
    wait_until(lambda: all(bundles(env)), 20, "they are put back")
    env.a.start()
    wait_until(lambda: env.a.serial() == served, 20, "the first one serves again, standing by")


@test("helm takes the webhook's configurations away with the rest", seconds=60)
def uninstalled(env):
    env.lab.helm("uninstall", "mesh", "-n", SYSTEM, "--no-hooks")
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations", "clusterroles", "clusterrolebindings"):
        assert "mesh" not in env.lab.kubectl("get", kind, "-o", "name"), kind
