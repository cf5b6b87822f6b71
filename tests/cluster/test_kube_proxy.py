# SPDX-License-Identifier: Apache-2.0
"""The chart beside a real kube-proxy: what sockets of the node connect to is the agent's, all else kube-proxy's, and so is everything
once the agent has gone; whoever comes or goes, no call fails.  At the end the agent is in its place, and it goes."""

import collections
import json
import os
import signal
import re
import subprocess
import tempfile
from types import SimpleNamespace

import image as images
from agent import BUILD, CFCLI, parse_metrics, total, wait_until
from harness import test
from isolation import MOUNT
from lab import Lab
from edge_world import SET_TX_CHECKSUM, set_feature
from netns import Namespace, veth
from test_chart import RELEASE, SYSTEM, agent_image, cfcli, functions, install, install_identity, pod

SETUP_SECONDS = 120
ARCHIVE = os.path.join(BUILD, "image", "cfagent.tar")
WEB_IMAGE = "localhost/busybox:test"
ADDRESS, NODE_PORT = "10.96.0.11", 30080
CLUSTER_IP, FROM_OUTSIDE = f"http://{ADDRESS}/", f"http://10.99.0.1:{NODE_PORT}/"
LOAD_SECONDS_MAX = 120
SERVER = "busybox hostname >/www/index.html; nc -ll -p 9000 -e cat & exec httpd -f -p 8080 -h /www"


def setup(stack):
    fresh = os.path.exists(ARCHIVE) and os.path.getmtime(ARCHIVE) > os.path.getmtime(CFCLI)
    assert fresh, f"{ARCHIVE} is not there, or older than cfcli: packaging/image/build {BUILD}"
    place = stack.enter_context(tempfile.TemporaryDirectory())
    lab = stack.enter_context(Lab("--node", "--kube-proxy"))
    images.busybox(os.path.join(place, "busybox.tar"), WEB_IMAGE)
    lab.load(ARCHIVE, os.path.join(place, "busybox.tar"))
    lab.helm("version", "--short")
    outside = stack.enter_context(Namespace("outside"))
    veth(lab.namespace, outside, ["192.0.2.1/24"], ["192.0.2.2/24"], name="outside0")
    outside.ip("route", "add", "default", "via", "192.0.2.1")
    lab.namespace.ip("route", "add", "default", "via", "192.0.2.2")
    for device in json.loads(outside.ip("-j", "link")):
        if device["ifname"] != "lo":
            set_feature(outside, device["ifname"], SET_TX_CHECKSUM, 0)  # as on a wire
    env = SimpleNamespace(lab=lab, place=place, outside=outside, values=[
        "--set", f"paths.cgroup={MOUNT}/{lab.namespace.name}", "--set", f"paths.run={place}/run", "--set", f"paths.state={place}/state"])
    lab.namespace.run("iptables", "-t", "raw", "-A", "PREROUTING", "-d", ADDRESS)  # counts; kube-proxy has nothing in this table
    customer = pod("customer", "exec sleep infinity", agent_image())
    customer["spec"]["hostAliases"] = [{"ip": ADDRESS, "hostnames": ["cart.shop.svc"]}]
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    lab.apply(pod("one", SERVER, WEB_IMAGE, app="cart"), pod("two", SERVER, WEB_IMAGE, app="cart"), customer, {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"type": "NodePort", "clusterIP": ADDRESS, "selector": {"app": "cart"}, "ports": [
            {"name": "http", "port": 80, "targetPort": 8080, "nodePort": NODE_PORT}, {"name": "echo", "port": 7, "targetPort": 9000}]}})
    lab.kubectl("-n", "shop", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    env.pods = {one["metadata"]["name"]: one["status"]["podIP"]
                for one in json.loads(lab.kubectl("-n", "shop", "get", "pods", "-l", "app=cart", "-o", "json"))["items"]}
    return env


def inside(env, script):
    return env.lab.kubectl("-n", "shop", "exec", "customer", "--", "bash", "-c", script)


def beyond(env, script):
    return env.outside.run("bash", "-c", script)


def call(where, env, url, times):
    """How often each backend answered, by its pod."""
    return collections.Counter(where(env, f"for i in $(seq {times}); do curl -sS --max-time 5 {url} || echo failed; done").split())


def rules(env, table="nat"):
    """Of the node: (packets, chain, what it matches and does)."""
    said = env.lab.namespace.run("iptables-save", "-c", "-t", table)
    return [(int(packets), chain, rest) for packets, chain, rest in re.findall(r"^\[(\d+):\d+\] -A (\S+) (.*)$", said, re.M)]


def seen(env):
    """Packets to the service's address that came out of pods."""
    return sum(packets for packets, _, rest in rules(env, "raw") if f"-d {ADDRESS}/32" in rest)


def taken(env, chain, match):
    """Connections that kube-proxy's rules sent to the service's backends, since it last wrote them."""
    return sum(packets for packets, of, rest in rules(env) if of == chain and match in rest and "-j KUBE-SVC-" in rest)


def taken_inside(env):
    return taken(env, "KUBE-SERVICES", f"-d {ADDRESS}/32")


def taken_outside(env):
    return taken(env, "KUBE-NODEPORTS", f"--dport {NODE_PORT}")


def translated(env):
    """Connections to the service that the agent counted."""
    with env.lab.namespace.entered():
        text = subprocess.run(["curl", "-sS", "http://127.0.0.1:9464/metrics"], check=True, capture_output=True, text=True).stdout
    return total(parse_metrics(text), "cortexflow_service_connections_total", namespace="shop", service="cart", result="established")


class Load:
    """New connections, one after another in each of two loops, 50 a second at most, until it is ended."""

    def __init__(self, where, env, url):
        self._run = lambda script: where(env, script)
        self.where = where.__name__
        self._files = f"/tmp/{os.path.basename(env.place)}-{self.where}"
        some = f"curl -sSN --rate 50/s --max-time 5 '{url}?[1-20]'"  # the server closes after each answer
        loop = f"while [ ! -e end ] && ((SECONDS < {LOAD_SECONDS_MAX})); do {some}; done"
        self._run(f"rm -rf {self._files}; mkdir {self._files}; cd {self._files}; "
                  f"for n in 1 2; do ({loop}; touch ended$n) >>calls$n 2>&1 </dev/null & done")

    def mark(self, only=""):
        self._run(f"cd {self._files}; for n in 1 2; do echo 'mark {only}' >>calls$n; done")

    def grow(self, calls=20):
        """Returns when each loop has made so many more."""
        self._run(f"cd {self._files}; for n in 1 2; do was[n]=$(wc -l <calls$n); done; "
                  f"for n in 1 2; do until (($(wc -l <calls$n) >= was[n] + {calls})); do sleep 0.05; done; done")

    def end(self):
        """Each loop's lines: who answered, or why nobody did."""
        said = self._run(f"cd {self._files}; touch end; until [ -e ended1 ] && [ -e ended2 ]; do sleep 0.05; done; cat calls1; echo; cat calls2; "
                         f"rm -r {self._files}")
        return [half.split("\n") for half in said.strip("\n").split("\n\n")]


def answered(env, load, least=50):
    """All of the load's calls were."""
    lines = [line for loop in load.end() for line in loop]
    counts = collections.Counter(lines)
    assert set(counts) <= set(env.pods) and len(lines) >= least, counts
    return counts


class Standing:
    """A connection that goes on being used, from the customer's pod to the service's echo."""

    def __init__(self, env, name):
        self._env, self._end = env, f"/tmp/{name}-end"
        script = (f"exec 3<>/dev/tcp/{ADDRESS}/7 && echo open; for ((n = 0; ; n++)); do [ ! -e {self._end} ] || {{ echo $n; exit; }}; "
                  f"echo $n >&3 && read -r -t 5 -u 3 x && [ \"$x\" = $n ] || {{ echo broken at $n; exit; }}; sleep 0.05; done")
        self._process = subprocess.Popen(env.lab.argv("kubectl", "-n", "shop", "exec", "customer", "--", "timeout", str(LOAD_SECONDS_MAX), "bash", "-c", script),
                                         stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "open\n"

    def end(self):
        """How many times it was answered."""
        inside(self._env, f"touch {self._end}")
        said = self._process.communicate(timeout=15)[0].strip()
        assert said.isdigit(), said
        return int(said)


def preflight(env):
    """What `cfcli install` says of kube-proxy beforehand."""
    variables = {**os.environ, "XDG_CONFIG_HOME": f"{env.place}/config"}
    done = subprocess.run(env.lab.argv(CFCLI, "--env", "lab", "install", "--dry-run"), capture_output=True, text=True, check=True, env=variables)
    return next(line for line in done.stderr.splitlines() if "kube-proxy: " in line)


@test("before an install cfcli says in which mode kube-proxy is, and that there is one where its configuration is not in the cluster", seconds=30)
def found(env):
    mode = env.lab.namespace.run("curl", "-sS", "http://127.0.0.1:10249/proxyMode")
    assert mode == "iptables" and f"mode {mode}:" in preflight(env), (mode, preflight(env))
    env.lab.kubectl("-n", "kube-system", "delete", "configmap", "kube-proxy")
    assert "a process of node kubelab" in preflight(env), preflight(env)


@test("the agent comes under traffic: no call fails, a connection through kube-proxy's rules stands, and new ones are translated before them", seconds=60)
def comes(env):
    wait_until(lambda: call(inside, env, CLUSTER_IP, 1) and taken_inside(env), 10, "kube-proxy's rules take the call")
    load, standing = Load(inside, env, CLUSTER_IP), Standing(env, "before")
    install(env)
    answered(env, load)
    assert standing.end() > 20
    wait_until(lambda: translated(env) > 0, 10, "the load's last calls are counted")
    packets, taken_before, connections = seen(env), taken_inside(env), translated(env)
    assert packets > 0
    assert call(inside, env, "http://cart.shop.svc/", 10) == {"one": 5, "two": 5}
    assert seen(env) == packets and taken_inside(env) <= taken_before, (packets, seen(env), taken_before, taken_inside(env))
    wait_until(lambda: translated(env) == connections + 10, 10, f"ten more than {connections} are counted: {translated(env)}")


@test("a node port called from outside of the node is answered by kube-proxy's rules", seconds=20)
def node_port(env):
    packets, connections = seen(env), translated(env)
    assert taken_outside(env) == 0
    answers = call(beyond, env, FROM_OUTSIDE, 20)
    assert set(answers) == set(env.pods) and answers.total() == 20, answers
    wait_until(lambda: call(beyond, env, FROM_OUTSIDE, 1) and taken_outside(env), 10, "kube-proxy's rules take the call")
    assert (seen(env), translated(env)) == (packets, connections), (packets, connections)


@test("the API server asks the admission webhook through its Service: pods are labelled, and policies that agents would refuse are", seconds=120)
def webhook(env):
    install_identity(env, "--set", "webhook.enabled=true")

    def labels():
        made = env.lab.kubectl("-n", "shop", "create", "--dry-run=server", "-o", "json", "-f", "-", text=json.dumps(pod("labelled", "true", WEB_IMAGE, app="none")))
        return json.loads(made)["metadata"]["labels"]

    wait_until(lambda: labels().get("cortexflow.io/mesh") == "enabled", 30, "a pod is labelled as it is made")
    denied = {"apiVersion": "cortexflow.io/v1alpha1", "kind": "DenyList", "metadata": {"name": "bad"}, "spec": {"entries": [{"cidr": "2001:db8::1/129"}]}}
    done = subprocess.run(env.lab.argv("kubectl", "create", "-f", "-"), input=json.dumps(denied), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "denied the request: DenyList bad: spec.entries[0].cidr: " in done.stderr, done.stderr
    install(env)
    assert "cortexflow.io/mesh" not in labels()


@test("backends change under traffic: no call fails, and none reaches the one that has gone once both know", seconds=60)
def changes(env):
    def know(names):
        backends = json.loads(cfcli(env, "service", "list", "-o", "json"))["services"]
        told = {backend["address"].split(":")[0] for one in backends if one["name"] == "shop/cart" for backend in one["backends"]}
        proxied = {ip for ip in env.pods.values() if any(f"--to-destination {ip}:8080" in rest for _, _, rest in rules(env))}
        return told == proxied == {env.pods[name] for name in names}

    loads = [Load(inside, env, CLUSTER_IP), Load(beyond, env, FROM_OUTSIDE)]

    def move(pod_name, app, names):
        """After the mark no call begins that may reach any other."""
        env.lab.kubectl("-n", "shop", "label", "pod", pod_name, f"app={app}", "--overwrite")
        wait_until(lambda: know(names), 15, f"both know that {names} are the backends")
        for load in loads:
            load.mark(names[0] if len(names) == 1 else "")

    for load in loads:
        load.grow()
    for gone, stays in (("one", "two"), ("two", "one")):
        move(gone, "other", [stays])
        for load in loads:
            load.grow()
            load.mark()
        move(gone, "cart", sorted(env.pods))
    for load in loads:
        late = [(only, line) for loop in load.end() for only, line in after_marks(loop) if line not in env.pods or only not in ("", line)]
        assert not late, (load.where, late)


def after_marks(lines):
    """Each call's answer, and the only one that it may be; empty: any.  A call may be on its way when the mark is made."""
    only, skip = "", False
    for line in lines:
        if line.startswith("mark"):
            only, skip = line[len("mark "):], True
        elif skip:
            skip = False
            yield "", line
        else:
            yield only, line


@test("the chart is uninstalled under traffic: no call fails, a connection that the agent translated stands, and kube-proxy takes over", seconds=90)
def goes(env):
    load, standing = Load(inside, env, CLUSTER_IP), Standing(env, "after")
    packets = seen(env)
    load.grow()
    assert seen(env) == packets, (packets, seen(env))
    env.lab.helm("uninstall", RELEASE, "-n", SYSTEM, "--timeout", "60s")
    assert not env.lab.pins(), env.lab.pins()
    load.grow()
    counts = answered(env, load)
    assert standing.end() > 20
    assert seen(env) > packets and set(counts) == set(env.pods), (packets, seen(env), counts)
    wait_until(lambda: call(inside, env, CLUSTER_IP, 1) and taken_inside(env), 10, "kube-proxy's rules take the call")


BALANCER = "203.0.113.50"
IN_ITS_PLACE = ("--set", "serviceLB.replace=true", "--set", "serviceLB.apiServers={https://10.99.0.1:443}", "--set", "config.edge.mode=generic")


def health(env, port, path="healthz"):
    """What a load balancer is told: status and answer."""
    said = beyond(env, f"curl -s --max-time 5 -w '\\n%{{http_code}}' http://10.99.0.1:{port}/{path}; true").rsplit("\n", 1)
    return int(said[1]), json.loads(said[0]) if said[0] else None


@test("the agent takes kube-proxy's place under traffic, and that one goes: new calls from inside and outside go on, and it is asked for the node's health", seconds=120)
def takes_its_place(env):
    assert "servedBy" not in health(env, 10256)[1], "kube-proxy is asked"
    loads = [Load(inside, env, CLUSTER_IP), Load(beyond, env, FROM_OUTSIDE)]
    variables = {**os.environ, "XDG_CONFIG_HOME": f"{env.place}/config"}
    said = subprocess.run(env.lab.argv(CFCLI, "--env", "lab", "install", "--dry-run", *IN_ITS_PLACE), capture_output=True, text=True, check=True, env=variables)
    assert "take its place" in next(line for line in said.stderr.splitlines() if "kube-proxy: " in line), said.stderr
    install(env, *IN_ITS_PLACE)
    for load in loads:
        load.grow()
        load.mark("taken over")
    assert "outside0 (generic)" in functions(env)["edge"]["hook"], functions(env)["edge"]
    os.kill(env.lab.pids["kube-proxy"], signal.SIGTERM)
    wait_until(lambda: health(env, 10256)[0] == 200 and "servedBy" in health(env, 10256)[1], 20, "the agent is asked for the node's health")
    env.lab.namespace.run("bash", "-c", "set -o pipefail; iptables-save | grep -v KUBE- | iptables-restore")  # what is in the lab's namespace alone
    assert not any("KUBE-" in rest or chain.startswith("KUBE-") for _, chain, rest in rules(env)), rules(env)
    for load in loads:
        load.grow()
    counted = [split(load.end()) for load in loads]
    assert not counted[0][0] and not counted[0][1], counted
    # Of connections from outside, those that kube-proxy's rules had begun may be cut when the edge comes: one a loop was on its way.
    assert len(counted[1][0]) <= 2 and not counted[1][1], counted
    assert all(not one["degraded"] for one in functions(env).values() if one["name"] in ("edge", "services", "kubernetes", "health check ports")), functions(env)


def split(loops):
    """The calls that failed before the mark, and those after."""
    before, after = [], []
    for lines in loops:
        mark = next(at for at, line in enumerate(lines) if line.startswith("mark"))
        before += [line for line in lines[:mark] if line not in ("one", "two")]
        after += [line for line in lines[mark + 2:] if line not in ("one", "two")]
    return before, after


@test("without kube-proxy the API server's Service answers, node ports do on the node, and both backends are called from everywhere", seconds=40)
def alone(env):
    assert "ok" in inside(env, "curl -ksS --max-time 5 https://10.96.0.1/readyz")
    for where, url in ((inside, CLUSTER_IP), (inside, FROM_OUTSIDE), (beyond, FROM_OUTSIDE)):
        answers = call(where, env, url, 24)
        assert set(answers) == set(env.pods), (where.__name__, url, answers)


@test("a load balancer's address answers who is in its source ranges, and its health-check port says how many backends the node has", seconds=60)
def balancer(env):
    env.lab.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front", "namespace": "shop"},
                   "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.12", "selector": {"app": "cart"}, "externalTrafficPolicy": "Local",
                            "healthCheckNodePort": 32100, "loadBalancerSourceRanges": ["192.0.2.0/24"],
                            "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
    front = json.loads(env.lab.kubectl("-n", "shop", "get", "service", "front", "-o", "json"))
    front["status"] = {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}
    env.lab.kubectl("replace", "--raw", "/api/v1/namespaces/shop/services/front/status", "-f", "-", text=json.dumps(front))
    wait_until(lambda: health(env, 32100) == (200, {"service": {"namespace": "shop", "name": "front"}, "localEndpoints": 2, "serviceProxyHealthy": True}),
               10, "two backends are told")
    answers = call(beyond, env, f"http://{BALANCER}/", 24)
    assert set(answers) == set(env.pods), answers
    asks = f"curl -s -o /dev/null --max-time 1 http://{BALANCER}/ && echo yes || echo no"
    for ranges, expected in ((["198.51.100.0/24"], "no"), (["192.0.2.2/32", "198.51.100.0/24"], "yes")):
        env.lab.kubectl("-n", "shop", "patch", "service", "front", "--type=merge", "-p", json.dumps({"spec": {"loadBalancerSourceRanges": ranges}}))
        wait_until(lambda e=expected: beyond(env, asks).strip() == e, 15, f"{ranges}: {expected}")
    for name in env.pods:
        env.lab.kubectl("-n", "shop", "label", "pod", name, "app=other", "--overwrite")
    wait_until(lambda: health(env, 32100)[0] == 503, 10, "no backend is told")
    for name in env.pods:
        env.lab.kubectl("-n", "shop", "label", "pod", name, "app=cart", "--overwrite")
    wait_until(lambda: health(env, 32100)[0] == 200, 10, "they are back")


@test("the agent restarts in kube-proxy's place: its connection to the API server takes no Service, and nothing is left when it is uninstalled", seconds=120)
def starts_alone(env):
    load = Load(beyond, env, FROM_OUTSIDE)
    load.grow()
    env.lab.kubectl("-n", SYSTEM, "rollout", "restart", f"daemonset/{RELEASE}")
    env.lab.kubectl("-n", SYSTEM, "rollout", "status", f"daemonset/{RELEASE}", "--timeout=100s")
    load.grow()
    answered(env, load)
    env.lab.helm("uninstall", RELEASE, "-n", SYSTEM, "--timeout", "60s")
    assert not env.lab.pins(), env.lab.pins()
    left = json.loads(env.lab.namespace.run("bpftool", "-j", "net", "show"))[0]
    assert not [row for part in ("xdp", "tc") for row in left[part] if "edge" in row.get("name", "edge")], left
