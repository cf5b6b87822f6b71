# SPDX-License-Identifier: Apache-2.0
"""The chart on a node with a kubelet and containerd, and no kube-proxy: what reaches a service there, the agent's pod translated."""

import collections
import json
import os
import subprocess
import tempfile
from types import SimpleNamespace

import image as images
from agent import BUILD, ROOT, wait_until
from harness import test
from isolation import MOUNT
from lab import Lab

SETUP_SECONDS = 180
ARCHIVE = os.path.join(BUILD, "image", "cfagent.tar")
CHART = os.path.join(ROOT, "charts", "cortexflow")
RELEASE, SYSTEM = "mesh", "cortexflow"
WEB_IMAGE = "localhost/busybox:test"
ADDRESS = "10.96.0.11"  # of examples/shop/cart.yaml


def setup(stack):
    program = os.path.join(BUILD, "agent", "cfagent")
    fresh = os.path.exists(ARCHIVE) and os.path.getmtime(ARCHIVE) > os.path.getmtime(program)
    assert fresh, f"{ARCHIVE} is not there, or older than the agent: packaging/image/build {BUILD}"
    place = stack.enter_context(tempfile.TemporaryDirectory())
    lab = stack.enter_context(Lab("--node"))
    images.busybox(os.path.join(place, "busybox.tar"), WEB_IMAGE)
    lab.load(ARCHIVE, os.path.join(place, "busybox.tar"))
    return SimpleNamespace(lab=lab, cgroup=f"{MOUNT}/{lab.namespace.name}", values=[
        "--set", f"paths.cgroup={MOUNT}/{lab.namespace.name}",  # this lab's pods, not the machine
        "--set", f"paths.run={place}/run", "--set", f"paths.state={place}/state"])


def install(env, *flags):
    """Installs or upgrades, and waits until the agent is ready."""
    env.lab.helm("upgrade", "--install", RELEASE, CHART, "-n", SYSTEM, "--create-namespace", *env.values, *flags)
    env.lab.kubectl("-n", SYSTEM, "rollout", "status", f"daemonset/{RELEASE}", "--timeout=100s")


def cfcli(env, *args):
    return env.lab.kubectl("-n", SYSTEM, "exec", f"daemonset/{RELEASE}", "--", "cfcli", *args)


def functions(env):
    return {one["name"]: one for one in json.loads(cfcli(env, "status", "-o", "json"))["functions"]}


def agent_image():
    with open(f"{CHART}/Chart.yaml", encoding="utf-8") as file:
        version = next(line.split()[1] for line in file if line.startswith("appVersion:"))
    return f"localhost/cortexflow/cfagent:{version}"


def pod(name, script, of, **labels):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "labels": labels},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                {"name": "main", "image": of, "imagePullPolicy": "Never", "command": ["sh", "-ec", script]}]}}


def service():
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"clusterIP": ADDRESS, "selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}


CALL = f"curl -sS --max-time 5 http://{ADDRESS}/ || echo failed"
WEB = "busybox hostname >/www/index.html; exec httpd -f -p 8080 -h /www"


def call(env, times):
    """From the customer's pod: how often each backend answered, by its pod."""
    said = in_customer(env, f"for i in $(seq {times}); do {CALL}; done")
    return collections.Counter(said.split())


def in_customer(env, script):
    return env.lab.kubectl("-n", "shop", "exec", "customer", "--", "sh", "-c", script)


def in_customer_later(env, script):
    return subprocess.Popen(env.lab.argv("kubectl", "-n", "shop", "exec", "customer", "--", "bash", "-c", script),
                            stdout=subprocess.PIPE, text=True)


def refused(env, kind, spec):
    """What the API server says to it."""
    document = {"apiVersion": "cortexflow.io/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    try:
        env.lab.kubectl("apply", "--dry-run=server", "--validate=false", "-f", "-", text=json.dumps(document))
    except RuntimeError as error:
        return str(error)
    raise AssertionError(f"accepted: {document}")


@test("helm install: within moments the agent's pod is ready, follows the cluster, and its role suffices", seconds=120)
def installed(env):
    install(env)
    said = functions(env)["kubernetes"]
    assert not said["degraded"], said
    assert "0 TrafficPolicy" in said["detail"] and "0 DenyList" in said["detail"], said
    assert not functions(env)["services"]["degraded"], functions(env)


@test("the role lets the agent list and watch what it follows, and nothing else")
def role(env):
    rules = json.loads(env.lab.kubectl("get", "clusterrole", RELEASE, "-o", "json"))["rules"]
    assert all(sorted(rule["verbs"]) == ["list", "watch"] for rule in rules), rules
    granted = {resource for rule in rules for resource in rule["resources"]}
    followed = {"namespaces", "nodes", "pods", "services", "endpoints", "endpointslices", "trafficpolicies", "denylists", "authorizationpolicies",
                "networkpolicies"}
    assert granted == followed, granted


@test("a pod that calls a service's address reaches its pods in turn", seconds=120)
def translated(env):
    env.lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    env.lab.apply(service(), pod("stable", WEB, WEB_IMAGE, app="cart", version="stable"), pod("canary", WEB, WEB_IMAGE, app="cart", version="canary"),
                  pod("customer", "exec sleep infinity", agent_image()))
    env.lab.kubectl("-n", "shop", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    wait_until(lambda: set(call(env, 4)) == {"stable", "canary"}, 30, "both pods answer")
    assert call(env, 10) == {"stable": 5, "canary": 5}


@test("the examples' policies are taken by the API server, explained by kubectl, and applied", seconds=60)
def policies(env):
    folder = f"{ROOT}/examples"
    for name in ("shop/cart-policy.yaml", "shop/checkout-policy.yaml", "edge/deny.yaml"):
        env.lab.kubectl("apply", "-f", f"{folder}/{name}")
    wait_until(lambda: call(env, 10) == {"stable": 9, "canary": 1}, 10, "nine of ten calls reach the stable pod")
    env.lab.kubectl("apply", "--dry-run=server", "-f", f"{folder}/policy/shop.yaml")
    kubernetes = functions(env)["kubernetes"]
    assert "2 TrafficPolicy" in kubernetes["detail"] and "1 DenyList" in kubernetes["detail"], kubernetes
    assert "cart" in env.lab.kubectl("-n", "shop", "get", "tpol")
    assert "prime" in env.lab.kubectl("explain", "trafficpolicy.spec.loadBalancing.consistentHash.tableSize")
    assert "scanners" in env.lab.kubectl("get", "cortexflow", "-A")


@test("what the agent refuses by type, choice or range, the API server refuses", seconds=120)
def schema(env):
    target = {"targetRefs": [{"kind": "Service", "name": "cart"}]}
    assert "targetRefs" in refused(env, "TrafficPolicy", {})
    for field, value in (("loadBalancing", {"algorithm": "Fastest"}), ("loadBalancing", {"consistentHash": {"tableSize": 7}}),
                         ("subsets", [{"name": "A", "labels": {"a": "b"}}]), ("subsets", [{"name": "a", "labels": {}}]),
                         ("subsets", [{"name": "a", "labels": {"a": "b"}, "weight": 1001}]), ("matchCallerVersion", "yes"),
                         ("circuitBreaker", {"maxConnections": 0}), ("health", {"type": "HTTP", "path": "index.html"}),
                         ("health", {"type": "HTTP", "expectedStatus": "2xx"}), ("health", {"type": "TCP", "interval": "soon"}),
                         ("outlierDetection", {"maxEjectionPercent": 101})):
        said = refused(env, "TrafficPolicy", {**target, field: value})
        assert f"spec.{field}" in said, said
    for entry in ({}, {"cidr": "example.com"}, {"cidr": "192.0.2.1", "ports": [0]}, {"cidr": "192.0.2.1", "mode": "Log"},
                  {"cidr": "192.0.2.1", "expires": "tomorrow"}):
        said = refused(env, "DenyList", {"entries": [entry]})
        assert "spec.entries" in said, said


@test("a pod's lookup bears the pod's name, and its UDP socket ends when its backend leaves the service", seconds=60)
def within_pods(env):
    in_customer(env, "getent ahosts nobody.example || true")
    uid = env.lab.kubectl("-n", "shop", "get", "pod", "customer", "-o", "jsonpath={.metadata.uid}")
    wait_until(lambda: uid in cfcli(env, "workload", "list", "-o", "wide"), 20, "the lookup is the pod's")
    udp = service()
    udp["metadata"]["name"] = "cart-udp"
    udp["spec"].update(clusterIP="10.96.0.12", ports=[{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 8080}])
    env.lab.apply(udp)
    wait_until(lambda: "cart-udp" in cfcli(env, "service", "list"), 10, "the service is there")
    waits = in_customer_later(env, "exec 3<>/dev/udp/10.96.0.12/53 && echo open && read -r -u 3 2>/dev/null || echo ended")
    assert waits.stdout.readline() == "open\n"
    udp["spec"]["selector"] = {"app": "nobody"}
    env.lab.apply(udp)
    assert waits.stdout.readline() == "ended\n"
    waits.wait()


WITH_IDENTITY = ("--set", "identity.enabled=true")
AUTHORITY = f"{RELEASE}-identity"
CALLER = "spiffe://cluster.local/ns/shop/sa/default"


def install_identity(env, *flags):
    install(env, *WITH_IDENTITY, *flags)
    env.lab.kubectl("-n", SYSTEM, "rollout", "status", f"deployment/{AUTHORITY}", "--timeout=100s")
    return wait_until(lambda: leader(env), 30, "one leads, and it is one of the pods")


def leader(env):
    holder = env.lab.kubectl("-n", SYSTEM, "get", "lease", AUTHORITY, "-o", "jsonpath={.spec.holderIdentity}")
    pods = env.lab.kubectl("-n", SYSTEM, "get", "pods", "-l", "app.kubernetes.io/component=identity", "-o", "name").split()
    ip = env.lab.kubectl("-n", SYSTEM, "get", "endpoints", AUTHORITY, "-o", "jsonpath={.subsets[0].addresses[0].ip}")
    if f"pod/{holder}" not in pods:
        return None
    return holder if ip == env.lab.kubectl("-n", SYSTEM, "get", "pod", holder, "-o", "jsonpath={.status.podIP}") else None


def authority(env, holder, *args):
    return env.lab.kubectl("-n", SYSTEM, "exec", holder, "--", "cfcli", "cert", *args)


def bundle(env, holder):
    return json.loads(authority(env, holder, "bundle", "-o", "json"))["bundle"]


def verified_serial(env, roots):
    """Of the certificate that the caller has; checked by a tool of another make."""
    with tempfile.TemporaryDirectory() as place:
        for name, text in (("roots.pem", roots), ("svid.pem", env.lab.kubectl("-n", "shop", "exec", "caller", "--", "cat", "/tmp/svid/svid.pem"))):
            with open(f"{place}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", f"{place}/roots.pem", f"{place}/svid.pem"], check=True, capture_output=True)
        said = subprocess.run(["openssl", "x509", "-in", f"{place}/svid.pem", "-noout", "-serial"], check=True, capture_output=True, text=True).stdout
    return said.strip().split("=")[1].lower()


@test("cfidentity's two pods come up; a pod that shows its token to the Service gets a certificate that the bundle vouches for", seconds=240)
def identity_issues(env):
    holder = install_identity(env)
    env.roots = bundle(env, holder)
    server = f"{AUTHORITY}.{SYSTEM}.svc"
    caller = pod("caller", "exec sleep infinity", agent_image())
    caller["spec"]["hostAliases"] = [{"ip": env.lab.kubectl("-n", SYSTEM, "get", "service", AUTHORITY, "-o", "jsonpath={.spec.clusterIP}"), "hostnames": [server]}]
    caller["spec"]["containers"][0]["volumeMounts"] = [{"name": "token", "mountPath": "/var/run/secrets/tokens"}]
    caller["spec"]["volumes"] = [{"name": "token", "projected": {"sources": [
        {"serviceAccountToken": {"audience": "cortexflow", "path": "cortexflow", "expirationSeconds": 600}}]}}]
    env.lab.apply(caller)
    env.lab.kubectl("-n", "shop", "wait", "--for=condition=Ready", "pod/caller", "--timeout=60s")
    env.lab.kubectl("-n", "shop", "exec", "-i", "caller", "--", "sh", "-c", "cat >/tmp/roots.pem", text=env.roots)
    env.ask = ("-n", "shop", "exec", "caller", "--", "cfcli", "cert", "issue", CALLER, "--out", "/tmp/svid", "--server", f"https://{server}:9467",
               "--token-file", "/var/run/secrets/tokens/cortexflow", "--ca", "/tmp/roots.pem")
    wait_until(lambda: asked(env), 30, "the agent translates the Service, and it issues")
    env.serial = verified_serial(env, env.roots)
    assert CALLER in authority(env, holder, "list")


def asked(env):
    try:
        env.lab.kubectl(*env.ask)
        return True
    except RuntimeError as error:
        assert "connect" in str(error), error
        return False


@test("an upgrade keeps cfidentity's root and all that it has issued, and it issues on", seconds=240)
def identity_upgraded(env):
    holder = install_identity(env, "--set", "identity.config.log_level=debug")
    assert bundle(env, holder) == env.roots
    assert env.serial in authority(env, holder, "list").lower()
    wait_until(lambda: asked(env), 30, "it issues")
    assert verified_serial(env, env.roots) != env.serial
    pods = json.loads(env.lab.kubectl("-n", SYSTEM, "get", "pods", "-l", "app.kubernetes.io/component=identity", "-o", "json"))["items"]
    restarts = [status["restartCount"] for pod in pods if "deletionTimestamp" not in pod["metadata"] for status in pod["status"]["containerStatuses"]]
    assert restarts == [0, 0], restarts


@test("the agent is upgraded under traffic, and no call fails", seconds=180)
def upgraded(env):
    calls = f"while [ ! -e /tmp/end ]; do {CALL}; done >/tmp/calls 2>&1; touch /tmp/ended"
    in_customer(env, f"({calls}) >/dev/null 2>&1 </dev/null &")
    before = env.lab.kubectl("-n", SYSTEM, "get", "pod", "-o", "name")
    install(env, *WITH_IDENTITY, "--set", "config.log_level=debug")
    assert env.lab.kubectl("-n", SYSTEM, "get", "pod", "-o", "name") != before
    in_customer(env, "touch /tmp/end; while [ ! -e /tmp/ended ]; do sleep 0.1; done")
    answers = collections.Counter(in_customer(env, "cat /tmp/calls").split())
    assert set(answers) == {"stable", "canary"} and answers["stable"] > 20, answers


@test("uninstall leaves no program, no pin and no object behind, but the policies and the authority", seconds=180)
def uninstalled(env):
    def attached():
        said = subprocess.run(["bpftool", "-j", "cgroup", "tree", env.cgroup], capture_output=True, text=True, check=True).stdout
        return [name for one in json.loads(said) for name in (p["name"] for p in one.get("programs", []))
                if name.startswith(("svc_", "service_", "dns_", "tcp_"))]

    assert attached() and env.lab.pins(), (attached(), env.lab.pins())
    env.lab.helm("uninstall", RELEASE, "-n", SYSTEM, "--timeout", "120s")
    assert not env.lab.pins(), env.lab.pins()
    wait_until(lambda: not attached(), 10, f"nothing of the agent is attached: {attached()}")
    kinds = "daemonset,deployment,job,configmap,role,rolebinding,serviceaccount,service,endpoints,lease,networkpolicy,poddisruptionbudget"
    assert RELEASE not in env.lab.kubectl("-n", SYSTEM, "get", kinds, "-o", "name").replace("kube-root-ca.crt", "")
    assert RELEASE not in env.lab.kubectl("get", "clusterrole,clusterrolebinding", "-o", "name")
    assert "cart" in env.lab.kubectl("-n", "shop", "get", "trafficpolicies", "-o", "name")
    kept = [name.split("/")[1] for name in env.lab.kubectl("-n", SYSTEM, "get", "secrets", "--field-selector", "type=Opaque", "-o", "name").split()]
    assert {AUTHORITY, f"{AUTHORITY}-passphrase", f"{AUTHORITY}-authorities"} <= set(kept), kept
    env.lab.kubectl("-n", SYSTEM, "delete", "secret", AUTHORITY, f"{AUTHORITY}-passphrase")
    wait_until(lambda: AUTHORITY not in env.lab.kubectl("-n", SYSTEM, "get", "secrets", "-o", "name"), 60, "all that cfidentity made goes with the first")
