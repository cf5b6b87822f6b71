# SPDX-License-Identifier: Apache-2.0
"""What load balancers ask a node: services' health check node ports, and /healthz in kube-proxy's place.

A load balancer in a namespace of its own, joined to the agent's, which has the edge on that interface.
"""

import collections
import contextlib
import json
import re
import socket
import subprocess

from agent import Agent, Place, parse_metrics, total, wait_until
from edge_world import Node
from harness import test
from netns import Namespace, sh, veth

NODE, NODE6 = "10.40.0.1", "fd40::1"
PORT, OTHER, PROXY = 30100, 30101, 10256
HEALTHY = '{{"service":{{"namespace":"shop","name":"{}"}},"localEndpoints":{},"serviceProxyHealthy":{}}}'
Answer = collections.namedtuple("Answer", "status headers body")


def service(name="web", port=PORT, local=(1,), remote=(), ending=(), created=None):
    """Endpoints by number; `local` ones are ready, as `remote` ones are, on another node."""
    number = 1000 + int(name[1:]) if name[1:].isdigit() else sum(name.encode())
    where = [("here", True, n) for n in local] + [("there", True, n) for n in remote] + [("here", False, n) for n in ending]
    return [
        {"apiVersion": "v1", "kind": "Service",
         "metadata": {"name": name, "namespace": "shop", **({"creationTimestamp": created} if created else {})},
         "spec": {"type": "LoadBalancer", "clusterIP": f"10.97.{number // 250}.{number % 250 + 1}", "externalTrafficPolicy": "Local",
                  "healthCheckNodePort": port, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
         "metadata": {"name": f"{name}-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
         "endpoints": [{"addresses": [f"10.41.0.{n}"], "nodeName": node,
                        "conditions": {"ready": ready, "serving": True, "terminating": not ready}} for node, ready, n in where]},
    ]


class Asked(Node):
    """An agent that serves both, with these services."""

    def __init__(self, world, *services, interfaces="veth0", flags=(), start=True):
        super().__init__("health")
        self.world = world
        self.flags = ["--edge-interfaces", interfaces, "--edge-mode", "generic", "--edge-flows", "1024", *flags]
        try:
            self.write(*services)
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        self.agent = Agent("--manifests", self.place.path("manifests"), "--node-name", "here", *self.flags,
                           "--services-health-check-listen", "::", "--services-proxy-health-listen", f"0.0.0.0:{PROXY}",
                           place=self.place, prefix=("nsenter", f"--net={self.world.node.path}"), cgroup_root=self.cgroup)

    def write(self, *services):
        self.place.write("manifests/services.yaml", (document for one in services for document in one))

    def change(self, then, what, *services):
        self.write(*services)
        wait_until(then, 10, what)

    def function(self):
        return next(f for f in self.agent.status()["functions"] if f["name"] == "health check ports")

    def problems(self, name):
        rows = self.agent.get("/v1/services")["services"]
        return next(row["problems"] for row in rows if row["name"] == f"shop/{name}")

    def metrics(self):
        return parse_metrics(self.world.node.run("curl", "-s", f"http://{self.place.metrics_listen}/metrics"))

    def ports(self):
        return {state: total(self.metrics(), "cortexflow_health_check_ports", state=state) for state in ("serving", "failed", "refused")}


class World:
    def __init__(self, stack):
        self.balancer, self.node = (stack.enter_context(Namespace(name)) for name in ("balancer", "node"))
        veth(self.balancer, self.node, ["10.40.0.2/24", "fd40::2/64"], [f"{NODE}/24", f"{NODE6}/64"])
        self.node.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def ask(self, port=PORT, path="/", host=NODE, *more):
        """The answer; None: refused, or nothing is said."""
        done = subprocess.run(self.balancer.argv("curl", "-s", "-i", "-g", "--max-time", "5", *more, f"http://{host}:{port}{path}"),
                              capture_output=True, text=True, check=False, timeout=15)
        if done.returncode != 0:
            return None
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        lines = head.splitlines()
        return Answer(int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:]), body)

    def status(self, port=PORT, path="/"):
        answer = self.ask(port, path)
        return answer and answer.status


def setup(stack):
    return World(stack)


@test("a health check node port says how many endpoints the node has, at any path, and 503 when the last has gone", seconds=60)
def counted(world):
    with Asked(world, service(local=(1, 2), remote=(3,)), service("other", OTHER, local=(), remote=(1,))) as node:
        for host in (NODE, f"[{NODE6}]"):
            for path in ("/", "/healthz", "/any/path?x=1"):
                answer = world.ask(PORT, path, host)
                assert answer and (answer.status, answer.body) == (200, HEALTHY.format("web", 2, "true")), f"{host}{path}: {answer}"
        assert answer.headers["content-type"] == "application/json", answer
        assert answer.headers["x-content-type-options"] == "nosniff", answer
        assert answer.headers["x-load-balancing-endpoint-weight"] == "2", answer
        head = world.ask(PORT, "/", NODE, "-I")
        assert head and (head.status, head.body) == (200, "") and head.headers["x-load-balancing-endpoint-weight"] == "2", head
        answer = world.ask(OTHER)
        assert answer and (answer.status, answer.body) == (503, HEALTHY.format("other", 0, "true")), answer
        other = service("other", OTHER, local=(), remote=(1,))
        node.change(lambda: (world.ask() or head).body == HEALTHY.format("web", 1, "true"), "one is left", service(ending=(2,)), other)
        node.change(lambda: world.status() == 503, "none is left", service(local=(), remote=(3,), ending=(1, 2)), other)
        assert world.ask().body == HEALTHY.format("web", 0, "true"), world.ask()
        node.change(lambda: world.status() == 200, "one is back", service(local=(2,)), other)
        assert not node.function()["degraded"], node.function()
        metrics = node.metrics()
        assert node.ports() == {"serving": 2, "failed": 0, "refused": 0}, metrics
        assert total(metrics, "cortexflow_health_check_ports_max") == 256
        assert total(metrics, "cortexflow_health_check_requests_total", port="service", code="200") >= 8, metrics
        assert total(metrics, "cortexflow_health_check_requests_total", port="service", code="503") >= 2, metrics


@test("a node whose only endpoint an operator drains says 503", seconds=40)
def drained(world):
    with Asked(world, service()) as node:
        assert world.status() == 200
        done = node.agent.cfcli("lb", "drain", "shop/web", "10.41.0.1")
        assert done.returncode == 0, done.stderr
        wait_until(lambda: world.status() == 503, 5, "the drained endpoint counts no more")
        node.agent.cfcli("lb", "undrain", "shop/web", "10.41.0.1")
        wait_until(lambda: world.status() == 200, 5, "it counts again")


@test("a port is refused when its service has gone, changed its policy, or moved to another port", seconds=60)
def moved(world):
    with Asked(world, service(), service("other", OTHER)) as node:
        assert (world.status(), world.status(OTHER)) == (200, 200)
        node.change(lambda: world.status(30200) == 200, "the new port answers", service(port=30200), service("other", OTHER))
        assert world.status() is None and world.status(OTHER) == 200
        cluster = service("other", OTHER)
        del cluster[0]["spec"]["externalTrafficPolicy"], cluster[0]["spec"]["healthCheckNodePort"]
        node.change(lambda: world.status(OTHER) is None, "all nodes take callers", service(port=30200), cluster)
        node.change(lambda: world.status(30200) is None, "the service has gone", cluster)
        assert node.ports() == {"serving": 0, "failed": 0, "refused": 0}, node.ports()


@test("a port that another program has is said once, leaves other services alone, and is had as soon as it is free", seconds=60)
def taken(world):
    with world.node.socket(kind=socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of connections that are over
        holder.bind(("0.0.0.0", PORT))
        holder.listen()
        with Asked(world, service(), service("other", OTHER)) as node:
            assert world.status(OTHER) == 200
            wait_until(lambda: "error services: cannot listen" in node.agent.log(), 5, "it is in the log")
            function = node.function()
            why = f"cannot listen on [::]:{PORT}: Address already in use"
            assert function["degraded"] and why in function["detail"], function
            assert why in node.agent.cfcli("status").stdout
            assert any(why in problem for problem in node.problems("web")), node.problems("web")
            assert not any("health" in problem for problem in node.problems("other")), node.problems("other")
            assert node.ports() == {"serving": 1, "failed": 1, "refused": 0}, node.ports()
            node.change(lambda: world.status(OTHER) == 503, "the other's endpoint has gone", service(), service("other", OTHER, local=()))
            holder.close()
            wait_until(lambda: world.status() == 200, 15, "the port is had")
            assert node.agent.log().count("error services: cannot listen") == 1, node.agent.log()
            assert not node.function()["degraded"], node.function()


@test("of two services that want one port the older has it, and the other says so", seconds=60)
def contested(world):
    young, old = (service(name, created=f"{year}-01-01T00:00:00Z") for name, year in (("a", 2021), ("b", 2020)))
    with Asked(world, young, old) as node:
        assert world.ask().body == HEALTHY.format("b", 1, "true"), world.ask()
        assert any("shop/b has it" in problem for problem in node.problems("a")), node.problems("a")
        assert "shop/b has it" in node.agent.cfcli("service", "list").stdout
        assert node.function()["degraded"] and node.ports() == {"serving": 1, "failed": 0, "refused": 1}, node.ports()
        node.change(lambda: world.ask().body == HEALTHY.format("a", 1, "true"), "the other has it", young)
        assert not node.problems("a") or not any("has it" in problem for problem in node.problems("a"))
        assert not node.function()["degraded"], node.function()


@test("no more than 256 ports are served, and the one that is too many has its turn when another goes", seconds=60)
def limited(world):
    many = [service(f"s{n}", 31000 + n) for n in range(257)]
    with Asked(world, *many) as node:
        assert node.ports() == {"serving": 256, "failed": 0, "refused": 1}, node.ports()
        served = [n for n in range(257) if world.status(31000 + n) == 200]
        missing = set(range(257)) - set(served)
        assert len(missing) == 1, missing
        late = missing.pop()
        assert any("256 such ports are served already" in problem for problem in node.problems(f"s{late}")), node.problems(f"s{late}")
        gone = served[0]
        node.change(lambda: world.status(31000 + late) == 200, "it has its turn", *(one for n, one in enumerate(many) if n != gone))


@test("while the edge is on no interface load balancers are told 503, and the agent's life is told apart", seconds=60)
def no_edge(world):
    with Asked(world, service(), interfaces="late0") as node:
        answer = world.ask()
        assert answer and (answer.status, answer.body) == (503, HEALTHY.format("web", 1, "false")), answer
        assert (world.status(PROXY, "/healthz"), world.status(PROXY, "/livez")) == (503, 200)
        function = node.function()
        assert function["degraded"] and "the edge is on none of its interfaces" in function["detail"], function
        sh("ip", "link", "add", "late0", "netns", world.node.name, "type", "veth", "peer", "name", "late1", "netns", world.node.name)
        try:
            world.node.ip("link", "set", "late0", "up")
            wait_until(lambda: world.status() == 200, 10, "the edge is there")
            assert world.ask().body == HEALTHY.format("web", 1, "true")
            assert world.status(PROXY, "/healthz") == 200
        finally:
            world.node.ip("link", "del", "late0")
        wait_until(lambda: world.status() == 503, 10, "the edge's interface has gone")


@test("/healthz says when the agent last looked and what time it is, and nothing of the node's eligibility", seconds=40)
def healthz(world):
    with Asked(world, service()) as node:
        answer = world.ask(PROXY, "/healthz")
        assert answer and answer.status == 200 and answer.headers["content-type"] == "application/json", answer
        times = json.loads(answer.body)
        assert times.pop("servedBy") == "cortexflow", answer  # by which it is no kube-proxy's
        assert set(times) == {"lastUpdated", "currentTime"} and times["lastUpdated"] <= times["currentTime"], answer
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z", time) for time in times.values()), answer
        assert world.status(PROXY, "/livez") == 200 and world.status(PROXY, "/") == 404
        assert f"/healthz on port {PROXY}" in node.function()["detail"], node.function()
        assert total(node.metrics(), "cortexflow_health_check_requests_total", port="node", code="200") == 2


@test("an agent that has not had the cluster's state yet says 503", seconds=40)
def not_synced(world):
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
              "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
              "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}}]}
    with Asked(world, service(), start=False) as node:
        node.flags += ["--kubeconfig", node.place.path("kubeconfig", json.dumps(config))]
        node.start()
        assert world.status(PROXY, "/healthz") == 503
        answer = wait_until(world.ask, 5, "the port is open")
        assert (answer.status, answer.body) == (503, HEALTHY.format("web", 1, "false")), answer
        assert "the cluster's state is not known yet" in node.function()["detail"], node.function()


@test("where the agent is stopped or killed nobody answers, and the next one does", seconds=60)
def stopped(world):
    with Asked(world, service()) as node:
        assert (world.status(), world.status(PROXY, "/healthz")) == (200, 200)
        assert node.agent.stop() == 0
        assert (world.status(), world.status(PROXY, "/healthz")) == (None, None)
        node.start()
        assert (world.status(), world.status(PROXY, "/healthz")) == (200, 200)
        node.kill()
        assert (world.status(), world.status(PROXY, "/healthz")) == (None, None)
        node.start()
        assert (world.status(), world.status(PROXY, "/healthz")) == (200, 200)


@test("connections that say nothing keep no load balancer waiting, and the agent's end is not held up", seconds=40)
def silent(world):
    with Asked(world, service(), service("other", OTHER)) as node, contextlib.ExitStack() as stack:
        for _ in range(60):
            peer = stack.enter_context(world.balancer.socket(kind=socket.SOCK_STREAM))
            peer.connect((NODE, PORT))
        assert world.ask(PORT, "/", NODE, "--max-time", "2").status == 200
        assert world.ask(OTHER, "/", NODE, "--max-time", "2").status == 200
        assert node.agent.stop() == 0


@test("settings that can't be meant are refused at the start, in words", seconds=30)
def refused(_):
    for flags, said in (
            (("--services-health-check-listen", "0.0.0.0"), "services.health_check_listen is set, and there are no services"),
            (("--services-proxy-health-listen", "0.0.0.0:10256"), "services.proxy_health_listen is set, and there are no services"),
            (("--services-health-check-listen", "0.0.0.0:30100"), "expected an address, such as 0.0.0.0 or ::"),
            (("--services-proxy-health-listen", "10256"), "expected ADDRESS:PORT, such as 0.0.0.0:10256")):
        with Place() as place:
            done = place.run(*flags)
            assert done.returncode == 2 and said in done.stderr, done
