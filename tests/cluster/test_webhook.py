# SPDX-License-Identifier: Apache-2.0
"""cfidentity's admission webhook, asked by a real API server by the chart's configurations."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import time
import types

from agent import ROOT, Place, wait_until
from authority import Authority
from harness import test
from lab import Lab, free_port_in

SETUP_SECONDS = 150
CHART = os.path.join(ROOT, "charts", "cortexflow")
NAME = "mesh"  # of the release, and so of the configurations
TOKEN = "/api/v1/namespaces/cortexflow/serviceaccounts/{}/token"
MESH, WORKLOAD = "cortexflow.io/mesh", "cortexflow.io/workload"


def setup(stack):
    env = types.SimpleNamespace(lab=stack.enter_context(Lab()), place=stack.enter_context(contextlib.closing(Place())))
    env.lab.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
                    for name, labels in (("cortexflow", {}), ("shop", {}), ("away", {MESH: "disabled"}))),
                  {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"{NAME}-identity", "namespace": "cortexflow"}})
    env.lab.kubectl("apply", "-f", f"{CHART}/files/crds")
    env.port = free_port_in(env.lab.namespace)
    env.rendered = rendered(env)
    env.lab.apply(*env.rendered)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["https://kubernetes.default.svc"]}}
    said = env.lab.kubectl("create", "--raw", TOKEN.format(f"{NAME}-identity"), "-f", "-", text=json.dumps(asked))
    env.kubeconfig = env.lab.kubeconfig(env.place, "identity.kubeconfig", user={"token": json.loads(said)["status"]["token"]})
    env.ca = stack.enter_context(authority(env))
    wait_until(lambda: enrolled(make(env, "first")), 30, "the API server knows the webhook's roots")
    env.lab.kubectl("-n", "shop", "delete", "pod", "first", "--force")
    return env


def rendered(env):
    """What the chart installs, but that the webhook is a process of this lab and no Service."""
    text = env.lab.helm("template", NAME, CHART, "-n", "cortexflow", "--set", "identity.enabled=true,webhook.enabled=true", "-s", "templates/webhook.yaml")
    out = []
    for one in json.loads(env.lab.kubectl("apply", "--dry-run=client", "-o", "json", "-f", "-", text=text))["items"]:
        for webhook in one.get("webhooks", ()):
            webhook["clientConfig"] = {"url": f"https://localhost:{env.port}{webhook['clientConfig']['service']['path']}"}
        if one["kind"] != "Service":
            out.append(one)
    assert len([one for one in out if "webhooks" in one]) == 2, text
    return out


def authority(env):
    """In the lab's network namespace, beside the API server, and with its service account's rights."""
    with env.lab.namespace.entered():
        return Authority(beside=[f"webhook: {{listen: 127.0.0.1:{env.port}, dns_names: [localhost], configuration: {NAME}, kubeconfig: {env.kubeconfig}}}"])


def restart(env):
    with env.lab.namespace.entered():
        env.ca.start()


def pod(name, namespace="shop", labels=(), annotations=(), **spec):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": dict(labels), "annotations": dict(annotations)},
            "spec": {"containers": [{"name": "c", "image": "localhost/none"}], **spec}}


def kubectl(env, *args, document=None):
    return subprocess.run(env.lab.argv("kubectl", *args), input=json.dumps(document) if document else None, capture_output=True, text=True,
                          timeout=60, check=False)


def make(env, name, *args, **more):
    """The pod as the API server keeps it."""
    done = kubectl(env, "create", "-o", "json", "-f", "-", document=pod(name, *args, **more))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def labels(one):
    return one["metadata"].get("labels", {})


def enrolled(one):
    return labels(one).get(MESH) == "enabled"


def configurations(env):
    return [json.loads(env.lab.kubectl("get", f"{kind}webhookconfiguration", NAME, "-o", "json")) for kind in ("mutating", "validating")]


def bundles(env):
    return [base64.b64decode(webhook["clientConfig"].get("caBundle", "")).decode() for one in configurations(env) for webhook in one["webhooks"]]


def metric(env, text):
    with env.lab.namespace.entered():
        said = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{env.ca.metrics_port}/metrics"], capture_output=True, text=True, timeout=10, check=True)
    return next((float(line.rsplit(" ", 1)[1]) for line in said.stdout.splitlines() if line.startswith(text + " ")), 0.0)


def policy(name, block, namespace="shop"):
    return {"apiVersion": "cortexflow.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": name, "namespace": namespace},
            "spec": {"rules": [{"from": [{"source": {"ipBlocks": [block]}}]}]}}


@test("a pod is enrolled when it is made: it bears that it is, and what made it", seconds=60)
def enrols(env):
    env.lab.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart", "namespace": "shop"},
                   "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "cart"}},
                            "template": {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "c", "image": "localhost/none"}]}}}})

    def made():
        return json.loads(env.lab.kubectl("-n", "shop", "get", "pods", "-l", f"{WORKLOAD}=cart,{MESH}=enabled", "-o", "json"))["items"]

    wait_until(lambda: len(made()) == 2, 20, "both of the Deployment's pods")
    assert all(labels(one)["app"] == "cart" for one in made())
    assert metric(env, 'cortexflow_admission_requests_total{path="/mutate",outcome="enrolled"}') >= 2


@test("what a pod says already stays as it is")
def stays(env):
    said = {WORKLOAD: "mine", "app": "x"}
    assert labels(make(env, "own-name", labels=said)) == {**said, MESH: "enabled"}
    said = {MESH: "enabled"}
    assert labels(make(env, "own-word", labels=said)) == said


@test("a pod that opts out by label, by annotation or by its namespace is left as it is, and so are those of the cluster and of the node's network")
def opted_out(env):
    left = (make(env, "by-label", labels={MESH: "disabled"}), make(env, "by-annotation", annotations={MESH: "disabled"}),
            make(env, "by-namespace", namespace="away"), make(env, "of-cluster", namespace="kube-system"),
            make(env, "of-mesh", namespace="shop", labels={"app.kubernetes.io/name": "cortexflow"}), make(env, "of-node", hostNetwork=True))
    assert not any(enrolled(one) or WORKLOAD in labels(one) for one in left), left


@test("a policy that no agent would use is refused in the agent's own words", seconds=90)
def refuses(env):
    done = kubectl(env, "apply", "-f", "-", document=policy("bad", "198.51.100.0/99"))
    assert done.returncode == 1 and "validate.cortexflow.io" in done.stderr and "denied the request: " in done.stderr, done.stderr
    words = done.stderr.split("denied the request: ", 1)[1].strip()
    assert kubectl(env, "apply", "-f", "-", document=policy("good", "198.51.100.0/24")).returncode == 0
    done = kubectl(env, "apply", "-f", "-", document=policy("good", "198.51.100.0/99"))
    assert done.returncode == 1 and "spec.rules[0].from[0].source.ipBlocks[0]" in done.stderr, done.stderr
    # What comes while nobody is asked, the agent refuses: so.
    env.ca.stop()
    try:
        env.lab.apply(policy("bad", "198.51.100.0/99"))
    finally:
        restart(env)
    with contextlib.closing(env.lab.agent(env.place)) as agent:
        said = wait_until(lambda: agent.get("/v1/services")["refusals"], 20, "the agent refuses it")
    assert said[0] == words, (said, words)
    # And who wants to be rid of it is not held up.
    assert kubectl(env, "-n", "shop", "annotate", "authorizationpolicy", "bad", "a=b").returncode == 0
    env.lab.kubectl("-n", "shop", "delete", "authorizationpolicy", "bad", "good")


@test("a deny list and a traffic policy that no agent would use are refused too")
def refuses_others(env):
    done = kubectl(env, "apply", "-f", "-", document={"apiVersion": "cortexflow.io/v1alpha1", "kind": "DenyList", "metadata": {"name": "bad"},
                                                      "spec": {"entries": [{"cidr": "2001:db8::1/129"}]}})
    assert done.returncode == 1 and "denied the request: DenyList bad: spec.entries[0].cidr: " in done.stderr, done.stderr
    done = kubectl(env, "apply", "-f", "-", document={"apiVersion": "cortexflow.io/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": "bad", "namespace": "shop"},
                                                      "spec": {"targetRefs": [{"kind": "Service", "name": "cart"}],
                                                               "subsets": [{"name": name, "labels": {"version": "1"}} for name in ("a", "b")]}})
    assert done.returncode == 1 and "denied the request: TrafficPolicy shop/bad: spec.subsets[1].labels: expected labels of its own" in done.stderr, done.stderr


@test("annotations of ours that nobody reads, or that agents refuse, are warned of")
def warns(env):
    done = kubectl(env, "create", "-f", "-", document=pod("odd", annotations={"cortexflow.io/wieght": "5", "cortexflow.io/weight": "much", MESH: "no"}))
    assert done.returncode == 0, done.stderr
    for words in ("nobody reads cortexflow.io/wieght", "expected a number from 0 to 1000", "expected enabled or disabled"):
        assert words in done.stderr, done.stderr
    assert not enrolled(json.loads(env.lab.kubectl("-n", "shop", "get", "pod", "odd", "-o", "json")))
    make(env, "later")
    done = kubectl(env, "-n", "shop", "annotate", "pod", "later", "cortexflow.io/weight=lots")
    assert done.returncode == 0 and "expected a number from 0 to 1000" in done.stderr, done.stderr


@test("a webhook that is gone, or hangs, stops nothing", seconds=90)
def down(env):
    env.ca.stop()
    try:
        assert not enrolled(make(env, "while-gone"))
        env.lab.apply(policy("while-gone", "198.51.100.0/99"))
    finally:
        restart(env)
    env.lab.kubectl("-n", "shop", "delete", "authorizationpolicy", "while-gone")
    env.ca.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert not enrolled(make(env, "while-hanging"))
        assert time.monotonic() - begun < 6, "the webhook's timeout is 2 s"
    finally:
        env.ca.process.send_signal(signal.SIGCONT)
    wait_until(lambda: enrolled(make(env, f"after-{time.monotonic_ns()}")), 15, "it is asked again")


@test("the authority's rotation goes on without a call that fails: each pod that is made meanwhile is enrolled", seconds=150)
def rotates(env):
    one_root = bundles(env)
    assert len(one_root) == 3 and all(text.count("BEGIN CERTIFICATE") == 1 for text in one_root), one_root
    made = [0]

    def enrol_some(count=5):
        for _ in range(count):
            made[0] += 1
            assert enrolled(make(env, f"rotation-{made[0]}")), f"pod {made[0]} was not"

    enrol_some()
    assert env.ca.cli("rotate-root", "prepare").returncode == 0
    enrol_some()
    wait_until(lambda: all(text.count("BEGIN CERTIFICATE") == 2 for text in bundles(env)), 10, "both roots are in the configurations")
    enrol_some()
    assert env.ca.cli("rotate-root", "activate").returncode == 0
    enrol_some()
    # The certificate of before goes: the next one is of the new root.
    own = [one for one in env.ca.json("list")["certificates"] if one["spiffe_id"].endswith("/cfidentity") and one["state"] == "valid"]
    for one in own:
        assert env.ca.cli("revoke", one["serial"]).returncode == 0
    enrol_some()
    with env.lab.namespace.entered():
        served = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{env.port}", "-servername", "localhost"], input="", capture_output=True, text=True,
                                timeout=10, check=False).stdout
    issuer = subprocess.run(["openssl", "x509", "-noout", "-ext", "authorityKeyIdentifier"], input=served, capture_output=True, text=True, check=True).stdout
    active = json.loads(env.ca.curl("/v1/status").stdout)["issuer"]
    assert active in issuer.replace(":", "").lower(), (active, issuer)
    env.ca.stop()
    restart(env)
    enrol_some()
    assert metric(env, 'cortexflow_admission_refusals_total{reason="handshake"}') == 0


@test("roots that somebody takes out of a configuration are put back, and that is counted", seconds=60)
def put_back(env):
    empty = json.dumps([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}])
    before = metric(env, 'cortexflow_admission_ca_bundle_writes_total{kind="MutatingWebhookConfiguration"}')
    env.lab.kubectl("patch", "mutatingwebhookconfiguration", NAME, "--type=json", "-p", empty)
    wait_until(lambda: all(bundles(env)), 20, "they are back")
    assert metric(env, 'cortexflow_admission_ca_bundle_writes_total{kind="MutatingWebhookConfiguration"}') == before + 1
    assert metric(env, 'cortexflow_admission_ca_bundle_current{kind="MutatingWebhookConfiguration"}') == 1
    env.lab.kubectl("delete", "validatingwebhookconfiguration", NAME)
    wait_until(lambda: metric(env, 'cortexflow_admission_ca_bundle_current{kind="ValidatingWebhookConfiguration"}') == 0, 20, "it is said")
    wait_until(lambda: f"ValidatingWebhookConfiguration {NAME}: the API server answered with status 404" in env.ca.log(), 5, "and logged")
    env.lab.apply(*env.rendered)
    wait_until(lambda: all(bundles(env)), 20, "they are in the new one")


@test("cfidentity's account may read and change the chart's two configurations, and no others")
def rights(env):
    def may(verb, kind, name):
        done = kubectl(env, "auth", "can-i", verb, f"{kind}webhookconfigurations/{name}", "--as", f"system:serviceaccount:cortexflow:{NAME}-identity")
        return done.stdout.strip() == "yes"

    for kind in ("mutating", "validating"):
        assert all(may(verb, kind, NAME) for verb in ("get", "patch")), kind
        assert not any(may(verb, kind, NAME) for verb in ("update", "delete", "create", "list", "watch")), kind
        assert not may("patch", kind, "other"), kind


def post(env, path, body):
    with env.lab.namespace.entered():
        done = subprocess.run(["curl", "-sS", "-k", "-w", "%{http_code}", "--data-binary", "@-", "-H", "Content-Type: application/json",
                               f"https://localhost:{env.port}{path}"], input=body, capture_output=True, timeout=10, check=True)
    return int(done.stdout[-3:]), json.loads(done.stdout[:-3])


@test("what is no AdmissionReview is answered with what is wrong with it, and what is too long is not read")
def malformed(env):
    good = {"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview",
            "request": {"uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "namespace": "shop", "object": pod("x")}}
    status, answer = post(env, "/mutate?timeout=2s", json.dumps(good).encode())
    assert status == 200 and answer["apiVersion"] == good["apiVersion"] and answer["response"]["uid"] == "u-1", answer
    assert json.loads(base64.b64decode(answer["response"]["patch"])) == [{"op": "add", "path": "/metadata/labels/cortexflow.io~1mesh", "value": "enabled"}]
    for body, words in ((b"", "no JSON"), (b"\xff\xfe", "no JSON"), (b"[" * 5000, "no JSON"), (b"{}", "kind"),
                        (json.dumps({**good, "apiVersion": "admission.k8s.io/v2"}).encode(), "admission.k8s.io/v2"),
                        (json.dumps({**good, "request": {**good["request"], "uid": 5}}).encode(), "request.uid")):
        for path in ("/mutate", "/validate"):
            status, answer = post(env, path, body)
            assert status == 400 and words in str(answer), (body[:40], answer)
    assert metric(env, 'cortexflow_admission_requests_total{path="/mutate",outcome="malformed"}') >= 6
    status, answer = post(env, "/mutate", b" " * (9 << 20))
    assert status == 413, answer
    with env.lab.namespace.entered():
        done = subprocess.run(["curl", "-sS", "-k", f"https://localhost:{env.port}/mutate"], capture_output=True, text=True, timeout=10, check=False)
    assert "there is no GET /mutate" in done.stdout, done.stdout
