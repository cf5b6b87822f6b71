# SPDX-License-Identifier: Apache-2.0
"""The chart's dashboards: each of their queries, asked of a real Prometheus that scrapes an agent at work, has data."""

import json
import math
import os
import re
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import dnsmsg
import shop
from agent import ROOT, wait_until
from authority import DOMAIN, Authority
from dnsserver import Server
from harness import test
from lab import Lab, free_port_in
from netns import Namespace, bound_to_us, veth

CHART = os.path.join(ROOT, "charts", "cortexflow")
SETUP_SECONDS = 120
RESOLVER = "10.61.0.1"
WEB = f"spiffe://{DOMAIN}/ns/shop/sa/web"
VARIABLES = {"$__rate_interval": "10s", "$instance": ".*", "$namespace": ".*", "$workload": ".*"}


def manifests():
    """The shop, with health checks and a breaker; its pods have their addresses, and nobody may call their port 9999."""
    policy = {"health": {"type": "HTTP", "path": "/", "interval": "2s", "timeout": "1s"}, "circuitBreaker": {"maxConnections": 100}}
    documents = [json.loads(text) for text in shop.manifests((0, 1, 2), policy).split("\n---\n")]
    for one in documents:
        if one["kind"] == "Pod":
            one["status"] = {"podIP": f"10.61.{one['metadata']['name'][-1]}.2"}
    rules = [{"to": [{"operation": {"ports": [9999]}}]}]
    documents.append({"apiVersion": "cortexflow.io/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": "not-9999", "namespace": "shop"},
                      "spec": {"action": "DENY", "rules": rules}})
    return "\n---\n".join(json.dumps(one) for one in documents)


def setup(stack):
    env = shop.set_up_world(stack)
    env.lab = stack.enter_context(Lab())
    env.ca = stack.enter_context(Authority(start=False))
    env.server = stack.enter_context(Server(env.client, RESOLVER))
    env.silent = env.server.on("silent.test", lambda query: [])
    env.missing = env.server.on("missing.test", lambda query: [query.answer(dnsmsg.NXDOMAIN)])
    closed = env.backends[2].socket(kind=socket.SOCK_STREAM)
    stack.callback(closed.close)
    closed.bind(("10.61.2.2", 9999))
    closed.listen()
    outside = stack.enter_context(Namespace("outside"))
    veth(env.lab.namespace, outside, ["10.62.0.1/24"], ["10.62.0.2/24"], name="edge0")
    env.outside = outside
    os.mkdir(env.place.path("manifests"))
    shop.write(env, manifests())
    env.agent = env.lab.agent(env.place, "--manifests", env.place.path("manifests"), "--edge-interfaces", "edge0", "--dns-timeout", "1s",
                              "--identity-mode", "embedded", "--identity-config", env.ca.path("identity.yaml"))
    stack.callback(env.agent.close)
    wait_until(env.agent.ready, 20, "the agent is ready")
    start_prometheus(env, stack)
    return env


def start_prometheus(env, stack):
    env.port = free_port_in(env.lab.namespace)
    config = env.place.path("prometheus.yml", f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: cfagent
    static_configs: [{{targets: ["127.0.0.1:{env.agent.place.metrics_port}"]}}]
""")
    log = open(env.place.path("prometheus.log"), "w", encoding="utf-8")
    process = subprocess.Popen(bound_to_us(["nsenter", f"--net={env.lab.namespace.path}", "prometheus", f"--config.file={config}",
                                            f"--web.listen-address=127.0.0.1:{env.port}", f"--storage.tsdb.path={env.place.path('tsdb')}"]),
                               stdout=log, stderr=log)
    stack.callback(log.close)
    stack.callback(process.wait)
    stack.callback(process.kill)


def ask(env, query):
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    url = f"http://127.0.0.1:{env.port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with env.lab.namespace.entered(), urllib.request.urlopen(url, timeout=5) as response:
            answer = json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{query}: {error.read()}") from error
    except (OSError, urllib.error.URLError):
        return []  # it has not begun
    return [row for row in answer["data"]["result"] if math.isfinite(float(row["value"][1]))]  # a quotient of nothing is no data


class Traffic(threading.Thread):
    """All that dashboards tell of, again and again."""

    def __init__(self, env):
        super().__init__(daemon=True)
        self.env, self.on, self.failed = env, True, None
        self.start()

    def run(self):
        try:
            while self.on:
                self.once()
        except Exception as error:  # pylint: disable=broad-except
            self.failed = error

    def once(self):
        env = self.env
        with env.client.socket() as asker:
            asker.connect((RESOLVER, 53))
            for number, name in enumerate(("here.test", env.missing)):
                asker.send(dnsmsg.query(name, ident=number))
                asker.recv(512)
            for _ in range(2):  # the same once more
                asker.send(dnsmsg.query(env.silent, ident=7))
        shop.call(env, 5)
        subprocess.run(env.client.argv("curl", "-s", "--max-time", "0.3", "http://10.61.2.2:9999/"), capture_output=True, check=False)
        self.lose_a_segment()
        with env.outside.socket() as stranger:
            stranger.sendto(b"?", ("10.62.0.1", 9))
        env.ca.cli("issue", WEB, "--out", env.ca.path("web"))

    def lose_a_segment(self):
        """A request that the server's answer can't follow at once, as the caller's address is wrong for a moment."""
        env = self.env
        mac = env.client.ip("-br", "link", "show", "b0").split()[2]

        def point(to):
            env.backends[0].ip("neighbour", "replace", "10.61.0.1", "lladdr", to, "dev", "veth0", "nud", "permanent")

        with env.client.socket(kind=socket.SOCK_STREAM) as caller:
            caller.connect(("10.61.0.2", 8080))
            point("02:00:00:00:00:99")
            try:
                caller.sendall(b"GET / HTTP/1.0\r\n\r\n")
            finally:
                point(mac)
            while caller.recv(4096):
                pass

    def end(self):
        self.on = False
        self.join(30)
        assert self.failed is None, self.failed


def boards(env):
    """Title of the dashboard, title of the panel, query."""
    text = env.lab.helm("template", "mesh", CHART, "-s", "templates/dashboards.yaml")
    for name, board in re.findall(r'^  cortexflow-(\w+)\.json: (".*")$', text, re.M):
        for panel in json.loads(json.loads(board))["panels"]:
            for target in panel.get("targets", []):
                yield name, panel["title"], target["expr"]


@test("every query of every dashboard has data", seconds=120)
def queries(env):
    # Once each: what a program's first series counts from is no increase yet.
    done = env.ca.json("issue", WEB, "--out", env.ca.path("first"))
    env.ca.json("revoke", done["serial"])
    assert env.ca.cli("issue", "spiffe://elsewhere.test/x", "--out", env.ca.path("refused")).returncode != 0
    asked = list(boards(env))
    assert len({name for name, _, _ in asked}) == 5 and len(asked) > 50, len(asked)
    traffic = Traffic(env)
    try:
        missing = asked

        def all_there():
            nonlocal missing
            missing = [one for one in missing if not ask(env, one[2])]
            return not missing or traffic.failed

        try:
            wait_until(all_there, 60, "all have data")
        except AssertionError as error:
            raise AssertionError("\n".join(" | ".join(one) for one in missing)) from error
    finally:
        traffic.end()
