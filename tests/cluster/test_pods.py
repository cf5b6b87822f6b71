# SPDX-License-Identifier: Apache-2.0
"""Real pods under a real kubelet: their lookups have their names, their version reaches its subset, and churn leaves nothing."""

import json
import os

import image
from agent import Place, total, wait_until
from harness import test
from isolation import MOUNT
from lab import Lab
from netns import sh


def pod(name, labels=None, command=("sleep", "3600"), **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                {"name": "main", "image": "localhost/busybox:test", "imagePullPolicy": "Never", "command": list(command)}], **spec}}


class Env:
    pass


def setup(stack):
    env = Env()
    env.place = stack.enter_context(Place())
    env.lab = stack.enter_context(Lab("--node"))
    image.busybox(env.place.path("busybox.tar"))
    env.lab.load(env.place.path("busybox.tar"))
    os.mkdir(env.place.path("manifests"))
    # The lab's cgroup is beside this run's: the agent sees the whole hierarchy.
    env.agent = env.lab.agent(env.place, "--node-name", "kubelab", "--manifests", env.place.path("manifests"), cgroup_root=MOUNT)
    stack.callback(env.agent.close)
    return env


def ready(env, *names):
    env.lab.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"pod/{name}" for name in names))


@test("a pod's lookup has its pod, namespace, container and owner", seconds=120)
def named(env):
    env.lab.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
                   "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {
                       "metadata": {"labels": {"app": "web"}}, "spec": pod("x")["spec"]}}})
    env.lab.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    name = env.lab.kubectl("get", "pod", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    env.lab.kubectl("exec", name, "--", "sh", "-c", "nslookup shown.test 10.99.0.1 || true")
    rows = wait_until(lambda: [row for row in env.agent.get("/v1/workloads")["workloads"] if row["workload"]["pod"] == name], 10,
                      "the pod is among the workloads")
    workload = rows[0]["workload"]
    assert workload["namespace"] == "default" and workload["container"] == "main", workload
    assert workload["owner"] == "Deployment/web" and workload["name"] == "default/web", workload
    shown = env.agent.cfcli("dns", "watch", "--since", "1m", "--follow=false", "--workload", f"default/{name}", "-o", "json").stdout
    assert any(json.loads(line).get("lookup", {}).get("name") == "shown.test" for line in shown.splitlines() if line.strip()), shown


@test("a pod's first process is known by its version: it reaches the subset of that version from its first connection", seconds=180)
def by_version(env):
    env.lab.apply(pod("stable", {"app": "api", "version": "stable"}, ("sh", "-c", "echo stable >/www/index.html; httpd -f -p 8080 -h /www")),
                  pod("canary", {"app": "api", "version": "canary"}, ("sh", "-c", "echo canary >/www/index.html; httpd -f -p 8080 -h /www")),
                  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "default"},
                   "spec": {"clusterIP": "10.96.0.50", "selector": {"app": "api"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
    ready(env, "stable", "canary")
    directory = env.place.path("manifests")
    policy = {"apiVersion": "cortexflow.io/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": "api", "namespace": "default"},
              "spec": {"targetRefs": [{"kind": "Service", "name": "api"}], "matchCallerVersion": True,
                       "subsets": [{"name": v, "labels": {"version": v}, "weight": w} for v, w in (("stable", 100), ("canary", 0))]}}
    with open(f"{directory}/policy.json", "w", encoding="utf-8") as file:
        json.dump(policy, file)
    wait_until(lambda: any(row["versions"] for row in env.agent.get("/v1/services")["services"]), 20, "versions matter")
    calls = "for i in 1 2 3 4; do wget -q -O - http://10.96.0.50/ ; done; sleep 3600"
    env.lab.apply(pod("caller-canary", {"version": "canary"}, ("sh", "-c", calls)), pod("caller-stable", {}, ("sh", "-c", calls)))
    ready(env, "caller-canary", "caller-stable")
    for caller, reached in (("caller-canary", "canary"), ("caller-stable", "stable")):
        said = wait_until(lambda: (out := env.lab.kubectl("logs", caller).split()) and len(out) == 4 and out, 20, "four calls are made")  # pylint: disable=cell-var-from-loop
        assert set(said) == {reached}, (caller, said)


@test("pods that come and go leave no caller behind", seconds=240)
def churn(env):
    def callers():
        dump = env.agent.place.pins + "/svc_callers"
        return json.loads(sh("bpftool", "-j", "map", "dump", "pinned", dump))

    before = len(callers())
    names = [f"churn{i}" for i in range(6)]
    for _ in range(2):
        env.lab.apply(*(pod(name, {"version": "churn"}) for name in names))
        ready(env, *names)
        wait_until(lambda: len(callers()) == before + len(names), 20, "each is a caller")
        env.lab.kubectl("delete", "pod", "--wait=true", "--grace-period=0", "--force", *names)
        wait_until(lambda: len(callers()) == before, 30, "none is left")


@test("a NetworkPolicy that kubectl applies is enforced between pods both ways, and the kubelet's probes get through", seconds=180)
def network_policy(env):
    served = pod("served", {"app": "served"}, ("sh", "-c", "echo served >/www/index.html; httpd -f -p 8080 -h /www"))
    served["spec"]["containers"][0].update(ports=[{"name": "web", "containerPort": 8080}], livenessProbe={
        "httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1, "failureThreshold": 1})
    env.lab.apply(served, pod("friend", {"app": "friend"}), pod("stranger"))
    ready(env, "served", "friend", "stranger")
    address = env.lab.kubectl("get", "pod", "served", "-o", "jsonpath={.status.podIP}")

    def becomes(friend, stranger):
        def now():
            return [fetches(env, who, address) for who in ("friend", "stranger")]

        wait_until(lambda: now() == [friend, stranger], 40, f"friend: {friend}, stranger: {stranger}")

    def count(verdict):
        return total(env.agent.metrics(), "cortexflow_policy_verdicts_total", direction="in", verdict=verdict)

    becomes(True, True)
    env.lab.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "in", "namespace": "default"},
                   "spec": {"podSelector": {"matchLabels": {"app": "served"}}, "ingress": [
                       {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": "web"}]}]}})
    becomes(True, False)
    assert count("not_in_network") > 0
    probed = count("node")
    wait_until(lambda: count("node") > probed + 3, 20, "the kubelet probes on")
    assert env.lab.kubectl("get", "pod", "served", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"
    env.lab.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "out", "namespace": "default"},
                   "spec": {"podSelector": {"matchLabels": {"app": "friend"}}, "policyTypes": ["Egress"]}})
    becomes(False, False)
    env.lab.kubectl("delete", "networkpolicy", "in", "out")
    becomes(True, True)


def fetches(env, who, address):
    try:
        return env.lab.kubectl("exec", who, "--", "busybox", "timeout", "1", "wget", "-q", "-O", "-", f"http://{address}:8080/").strip() == "served"
    except RuntimeError:
        return False
