# SPDX-License-Identifier: Apache-2.0
"""cfcli from outside, by a kubeconfig: environments, install, every node's agent through the API server, sysdump, uninstall."""

import base64
import json
import os
import signal
import subprocess
import tarfile
import tempfile
import time
from types import SimpleNamespace

import image as images
from agent import BUILD, CFCLI, wait_until
from harness import test
from isolation import MOUNT
from lab import Lab

SETUP_SECONDS = 180
ARCHIVE = os.path.join(BUILD, "image", "cfagent.tar")
RELEASE, SYSTEM, NODE = "mesh", "mesh-system", "kubelab"
WEB_IMAGE = "localhost/busybox:test"
SECRET = "hunter2-very-secret"


def setup(stack):
    fresh = os.path.exists(ARCHIVE) and os.path.getmtime(ARCHIVE) > os.path.getmtime(CFCLI)
    assert fresh, f"{ARCHIVE} is not there, or older than cfcli: packaging/image/build {BUILD}"
    place = stack.enter_context(tempfile.TemporaryDirectory())
    lab = stack.enter_context(Lab("--node"))
    images.busybox(os.path.join(place, "busybox.tar"), WEB_IMAGE)
    lab.load(ARCHIVE, os.path.join(place, "busybox.tar"))
    lab.helm("version", "--short")
    return SimpleNamespace(lab=lab, place=place, values=[
        "--set", f"paths.cgroup={MOUNT}/{lab.namespace.name}", "--set", f"paths.run={place}/run", "--set", f"paths.state={place}/state",
        "--set", "extraEnv[0].name=DB_PASSWORD", "--set", f"extraEnv[0].value={SECRET}"])


def run(env, *args, kubeconfig=None, where=None):
    """cfcli as a user of the cluster calls it; its configuration is the test's own."""
    variables = {**os.environ, "XDG_CONFIG_HOME": where or f"{env.place}/config"}
    for name in ("CORTEXFLOW_ENV", "CORTEXFLOW_CONTROL_SOCKET"):
        variables.pop(name, None)
    config = ["env", f"KUBECONFIG={kubeconfig}"] if kubeconfig else []
    return subprocess.run(env.lab.argv(*config, CFCLI, *args), capture_output=True, text=True, check=False, env=variables, timeout=170)


def cfcli(env, *args, **named):
    done = run(env, *args, **named)
    assert done.returncode == 0, (args, done.stdout, done.stderr)
    return done.stdout


def document(env, *args):
    return json.loads(cfcli(env, "--env", "lab", *args, "-o", "json"))


def refused(env, *args, **named):
    done = run(env, *args, **named)
    assert done.returncode == 1, (args, done)
    return done.stderr


def account(env, name, *rules):
    """A kubeconfig of a service account that has these rights in the mesh's namespace, and no others."""
    env.lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}},
                  {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": SYSTEM}},
                  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name, "namespace": SYSTEM}, "rules": list(rules)},
                  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": SYSTEM},
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                   "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": SYSTEM}]})

    def token():
        secrets = json.loads(env.lab.kubectl("-n", SYSTEM, "get", "secrets", "-o", "json"))["items"]
        return next((one["data"]["token"] for one in secrets
                     if one["metadata"].get("annotations", {}).get("kubernetes.io/service-account.name") == name and "token" in one.get("data", {})), None)

    wait_until(token, 20, "the account has a token")
    with open(env.lab.admin, encoding="utf-8") as file:
        config = json.load(file)
    config["users"] = [{"name": "admin", "user": {"token": base64.b64decode(token()).decode()}}]
    path = f"{env.place}/{name}.kubeconfig"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    return path


@test("the kubeconfig's contexts are environments by themselves, beside machines that are added; the one in use is kept")
def environments(env):
    where = f"{env.place}/environments"
    names = cfcli(env, "env", "list", "-o", "name", where=where).split()
    assert names == ["local", "lab"], names
    cfcli(env, "env", "add", "edge", "--socket", "/nowhere/agent.sock", where=where)
    cfcli(env, "env", "add", "prod", "--context", "lab", "--kubeconfig", env.lab.admin, "--namespace", SYSTEM, where=where)
    rows = {row["name"]: row for row in json.loads(cfcli(env, "env", "list", "-o", "json", where=where))["environments"]}
    assert [row["name"] for row in rows.values() if row["current"]] == ["local"], rows
    assert (rows["edge"]["kind"], rows["prod"]["kind"], rows["lab"]["kind"]) == ("machine", "cluster", "cluster"), rows
    cfcli(env, "env", "use", "edge", where=where)
    assert "/nowhere/agent.sock" in refused(env, "status", where=where)
    assert "no agent runs in the cluster" in refused(env, "--env", "prod", "status", where=where)
    cfcli(env, "env", "remove", "edge", where=where)
    assert "\n*  local" in "\n" + cfcli(env, "env", "list", where=where)
    assert "there is no environment edge" in refused(env, "--env", "edge", "status", where=where)
    assert "was not added" in refused(env, "env", "remove", "lab", where=where)


@test("an environments file that can't be read is said with its line, and stays as it is")
def bad_environments(env):
    where = f"{env.place}/bad"
    os.makedirs(f"{where}/cortexflow")
    path = f"{where}/cortexflow/environments.yaml"
    for text, said in (("environments:\n- name: a\n  socket: /a\n- name: a\n  socket: /b\n", ":4:"),
                       ("environments:\n- name: a\n  sockets: /a\n", ":3:"), ("current: a\nenvironments: [\n", ":3:"), ("environments:\n- name: a\n", ":2:")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        for args in (("status",), ("env", "add", "b", "--socket", "/b")):
            errors = refused(env, *args, where=where)
            assert path + said in errors, (text, errors)
        with open(path, encoding="utf-8") as file:
            assert file.read() == text


@test("install --dry-run prints what helm would send and changes nothing; who may not create it is told what", seconds=60)
def dry_run(env):
    done = run(env, "--env", "lab", "install", "--dry-run", "--release", RELEASE, "--namespace", SYSTEM, *env.values)
    assert done.returncode == 0 and "kind: DaemonSet" in done.stdout and f"namespace: {SYSTEM}" in done.stdout, done
    for check in ("API server: v1.20", "you may create all", "none of this chart", "kube-proxy: not found", "nodes: 1, Linux"):
        assert check in done.stderr, done.stderr
    nobody = account(env, "nobody")
    errors = refused(env, "--env", "lab", "install", "--namespace", SYSTEM, *env.values, kubeconfig=nobody)
    assert "you may not create" in errors and "clusterroles.rbac.authorization.k8s.io" in errors and "nothing was changed" in errors, errors
    errors = refused(env, "--env", "lab", "install", "--set", "image=7")
    assert "helm" in errors, errors
    assert "daemonset" not in env.lab.kubectl("get", "daemonsets", "-A", "-o", "name")


@test("install puts the chart that is in cfcli into the cluster, waits for the agents, and shows every node's", seconds=150)
def installed(env):
    done = run(env, "--env", "lab", "install", "--release", RELEASE, "--namespace", SYSTEM, "--timeout", "100", *env.values)
    assert done.returncode == 0 and "1 of 1 agents are ready" in done.stderr, done
    assert NODE in done.stdout and "0.1.0" in done.stdout, done.stdout
    errors = refused(env, "--env", "lab", "install", "--release", "other", "--namespace", "other", *env.values)
    assert f"{RELEASE} is installed in namespace {SYSTEM}" in errors, errors


@test("status of a cluster has a row for each node: its agent's version, configuration and functions, or why there is none", seconds=60)
def status(env):
    def nodes():
        return {one["node"]: one for one in json.loads(run(env, "--env", "lab", "status", "-o", "json").stdout)["nodes"]}

    env.lab.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}})
    try:
        rows = wait_until(lambda: (lambda now: now if "ghost" in now else None)(nodes()), 20, "the other node is listed")
    finally:
        env.lab.kubectl("delete", "node", "ghost")
    agent = rows[NODE]["status"]
    assert rows[NODE]["ready"] and agent["node"] == NODE and agent["version"] == "0.1.0", agent
    assert agent["configuration"]["generation"] > 0 and agent["configuration"]["heard_seconds"] < 150, agent["configuration"]
    assert [one["hook"] for one in agent["functions"] if one["name"] == "dns packets"] == ["cgroup_skb"], agent
    assert rows["ghost"]["status"] is None and rows["ghost"]["why"], rows["ghost"]
    one = json.loads(cfcli(env, "--env", "lab", "--node", NODE, "status", "-o", "json"))
    assert one["node"] == NODE and "functions" in one, one
    assert f"there are agents on: {NODE}" in refused(env, "--env", "lab", "--node", "nobody", "status")


def pod(name, script, **labels):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": labels},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                {"name": "main", "image": WEB_IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-ec", script]}]}}


@test("services, workloads, programs, lookups, flows and logs of the nodes are shown from outside, no port being open", seconds=120)
def listed(env):
    web = "echo web >/www/index.html; exec httpd -f -p 8080 -h /www"
    env.lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
                  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
                   "spec": {"clusterIP": "10.96.0.11", "selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}},
                  pod("web", web, app="cart"),
                  pod("customer", "while :; do nslookup nobody.example 127.0.0.9 || true; wget -qO- http://10.96.0.11/ || true; sleep 1; done"))
    env.lab.kubectl("-n", "shop", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")

    def cart():
        return next((one for one in document(env, "service", "list")["services"] if one["name"] == "shop/cart"), None)

    wait_until(lambda: cart() and cart()["backends"], 30, "the service has a backend")
    assert cart()["nodes"] == [NODE], cart()
    described = cfcli(env, "--env", "lab", "service", "describe", "shop/cart")
    assert ":8080" in described and "ESTABLISHED" in described, described
    assert "there is no service" in refused(env, "--env", "lab", "service", "describe", "shop/nobody")
    wait_until(lambda: any(one["node"] == NODE for one in document(env, "workload", "list")["workloads"]), 30, "a workload made a lookup")
    assert cfcli(env, "--env", "lab", "bpf", "list").startswith("NODE")
    assert f"{NODE}: " in cfcli(env, "--env", "lab", "logs", "-n", "20")
    lines = cfcli(env, "--env", "lab", "flow", "watch", "--since", "1h", "--follow", "--limit", "2", "-o", "json").splitlines()
    flows = [json.loads(line) for line in lines]
    assert [one.get("node") for one in flows] == [NODE, NODE, None] and flows[2]["summary"]["shown"] == 2, flows
    table = cfcli(env, "--env", "lab", "dns", "watch", "--follow", "--limit", "1").splitlines()
    assert table[0].startswith("NODE") and table[1].startswith(NODE) and "nobody.example" in table[1], table
    assert "nobody.example" in cfcli(env, "--env", "lab", "dns", "top", "--once", "--by", "name")


@test("get and create on pods/exec, and list on pods, in the mesh's namespace are all that a user needs", seconds=60)
def rights(env):
    pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    user = account(env, "operator", pods, {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]})
    where = f"{env.place}/operator"
    cfcli(env, "env", "add", "mesh", "--context", "lab", "--namespace", SYSTEM, kubeconfig=user, where=where)
    said = cfcli(env, "--env", "mesh", "status", kubeconfig=user, where=where)
    assert NODE in said and "0.1.0" in said, said
    looker = account(env, "looker", pods)
    cfcli(env, "env", "add", "mesh", "--context", "lab", "--namespace", SYSTEM, kubeconfig=looker, where=f"{env.place}/looker")
    done = run(env, "--env", "mesh", "status", kubeconfig=looker, where=f"{env.place}/looker")
    assert done.returncode == 1 and "pods/exec" in done.stdout and NODE in done.stdout, done


@test("pods of another namespace that call themselves agents are not asked: commands name the namespaces until one is chosen", seconds=60)
def posing(env):
    posed = pod("posing", "exec sleep 1000", **{"app.kubernetes.io/name": "cortexflow", "app.kubernetes.io/component": "agent"})
    env.lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}, posed)
    where = f"{env.place}/posing"
    try:
        wait_until(lambda: env.lab.kubectl("-n", "shop", "get", "pod", "posing", "-o", "jsonpath={.spec.nodeName}"), 20, "the pod has a node")
        for args in (("status",), ("service", "list"), ("sysdump", "--file", f"{env.place}/posing.tar.gz")):
            errors = refused(env, "--env", "lab", *args)
            assert f"{SYSTEM}, shop" in errors and "--namespace" in errors, errors
        cfcli(env, "env", "add", "chosen", "--context", "lab", "--kubeconfig", env.lab.admin, "--namespace", SYSTEM, where=where)
        assert NODE in cfcli(env, "--env", "chosen", "status", where=where)
    finally:
        env.lab.kubectl("-n", "shop", "delete", "pod", "posing", "--grace-period=0", "--force")


def agent_pid(env):
    said = env.lab.kubectl("-n", SYSTEM, "get", "pod", "-l", "app.kubernetes.io/component=agent", "-o", "jsonpath={.items[0].status.containerStatuses[0].containerID}")
    task = next(line.split() for line in subprocess.run(env.lab.argv("ctr", "task", "list"), capture_output=True, text=True, check=True).stdout.splitlines()
                if line.split()[0] in said)
    return int(task[1])


@test("an agent that does not answer has a row that says why, in bounded time", seconds=60)
def silent(env):
    pid = agent_pid(env)
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        done = run(env, "--env", "lab", "status")
        took = time.monotonic() - begun
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.returncode == 1 and "did not answer" in done.stdout and "1 of 1 agents did not answer" in done.stderr, done
    assert took < 25, took


def in_dump(file):
    with tarfile.open(file) as archive:
        return {one.name.split("/", 1)[1]: archive.extractfile(one).read().decode() for one in archive.getmembers() if one.isfile()}


@test("sysdump has what a bug report needs of every node, says what is missing, and bears no secret", seconds=120)
def sysdump(env):
    file = f"{env.place}/dump.tar.gz"
    said = document(env, "sysdump", "--file", file)
    assert os.stat(file).st_mode & 0o077 == 0
    texts = in_dump(file)
    for name in ("status.json", "services.json", "policies.json", "flows.json", "lookups.json", "log.json", "pod.log", "metrics.txt"):
        assert f"node-{NODE}/{name}" in texts, (name, sorted(texts), said)
    assert "cortexflow_dns_requests_total" in texts[f"node-{NODE}/metrics.txt"]
    assert json.loads(texts["cluster/version.json"])["gitVersion"].startswith("v1.20")
    assert NODE in texts["cluster/nodes.json"] and "Pulled" in texts[f"namespace-{SYSTEM}/events.json"]
    assert "log_level" in texts[f"namespace-{SYSTEM}/configmaps.json"]
    assert said["missing"] == [], said
    sets = texts[f"namespace-{SYSTEM}/daemonsets.json"]
    assert "DB_PASSWORD" in sets and "[redacted]" in sets
    assert not [name for name, text in texts.items() if SECRET in text]


@test("sysdump leaves out what is over its limits of size and time, and lists that with the cause", seconds=120)
def limits(env):
    names = ("ballast-0", "ballast-1")
    try:
        for name in names:
            # Made, not applied: what kubectl applies is an annotation too, of 256 kB at most.
            env.lab.kubectl("create", "-f", "-", text=json.dumps({
                "apiVersion": "v1", "kind": "ConfigMap", "data": {"text": "log line\n" * 80_000},
                "metadata": {"name": name, "namespace": SYSTEM, "labels": {"app.kubernetes.io/name": "cortexflow"}}}))
        said = document(env, "sysdump", "--file", f"{env.place}/small:1.tar.gz", "--max-size", "1")
    finally:
        env.lab.kubectl("-n", SYSTEM, "delete", "configmap", *names)
    assert f"namespace-{SYSTEM}/configmaps.json: the dump is as large as it may be" in said["missing"], said
    texts = in_dump(f"{env.place}/small:1.tar.gz")
    assert "the dump is as large as it may be" in texts["missing.txt"] and sum(map(len, texts.values())) < 2 << 20, texts["missing.txt"]
    pid = agent_pid(env)
    os.kill(pid, signal.SIGSTOP)
    try:
        said = document(env, "sysdump", "--file", f"{env.place}/short.tar.gz", "--timeout", "1")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert f"node-{NODE}/metrics.txt: there was no more time: --timeout" in said["missing"], said
    assert "there was no more time" in in_dump(f"{env.place}/short.tar.gz")["missing.txt"]


@test("update keeps the release's values and refuses a lower major version", seconds=120)
def updated(env):
    shown = cfcli(env, "--env", "lab", "update", "--dry-run", "--set", "identity.enabled=true")
    assert f"{RELEASE}-identity-passphrase" in shown and "# data: left out" in shown and "passphrase: " not in shown, shown
    cfcli(env, "--env", "lab", "update", "--set", "config.log_level=debug", "--timeout", "100")
    config = env.lab.kubectl("-n", SYSTEM, "get", "configmap", RELEASE, "-o", "yaml")
    assert "log_level: debug" in config, config
    assert SECRET in env.lab.kubectl("-n", SYSTEM, "get", "daemonset", RELEASE, "-o", "yaml")
    env.lab.kubectl("-n", SYSTEM, "label", "--overwrite", "daemonset", RELEASE, "helm.sh/chart=cortexflow-9.0.0")
    errors = refused(env, "--env", "lab", "update")
    assert "a lower major version" in errors, errors
    assert "there is no such release" in refused(env, "--env", "lab", "update", "--release", "nobody")


@test("uninstall waits until every node is clean, says what is kept, and leaves nothing with --crds", seconds=180)
def uninstalled(env):
    assert env.lab.pins()
    labels = {"app.kubernetes.io/instance": RELEASE}
    env.lab.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {
                      "name": "authority", "namespace": SYSTEM, "labels": labels, "annotations": {"helm.sh/resource-policy": "keep"}}},
                  {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "forgotten", "namespace": SYSTEM, "labels": labels}},
                  {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "forgotten", "namespace": SYSTEM, "labels": labels}})
    done = run(env, "--env", "lab", "uninstall", "--crds", "--timeout", "120")
    assert done.returncode == 1 and "left behind: leases/forgotten, poddisruptionbudgets/forgotten;" in done.stderr, done
    assert "kept: secrets/authority" in done.stdout, done
    assert not env.lab.pins(), env.lab.pins()
    assert "cortexflow" not in env.lab.kubectl("get", "crd", "-o", "name")
    assert "no release of the chart" in refused(env, "--env", "lab", "uninstall")


@test("without helm install says what to do, before anything is changed")
def no_helm(env):
    done = subprocess.run(["nsenter", f"--net={env.lab.namespace.path}", "env", f"KUBECONFIG={env.lab.admin}", "PATH=/nowhere", CFCLI, "--env", "lab", "install"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "helm" in done.stderr and "install helm 3" in done.stderr, done
