# SPDX-License-Identifier: Apache-2.0
"""The scrape as Prometheus sees it."""

import json
import math
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from types import SimpleNamespace

import dnsmsg
from agent import Agent, free_port, total, wait_until
from dnsserver import Server
from harness import test
from netns import Namespace, bound_to_us, sh

ADDRESS = "127.53.9.1"  # a server of no other test, to tell its series by


def setup(stack):
    agent = stack.enter_context(Agent("--dns-timeout", "1s"))
    ns = stack.enter_context(Namespace("metrics"))
    server = stack.enter_context(Server(ns, ADDRESS))
    watch = stack.enter_context(agent.watch())
    return SimpleNamespace(agent=agent, ns=ns, server=server, watch=watch,
                           url=f"http://127.0.0.1:{agent.place.metrics_port}")


def burst(env, count=20):
    with env.ns.socket() as sock:
        sock.connect((ADDRESS, 53))
        for i in range(count):
            sock.send(dnsmsg.query(dnsmsg.unique("burst"), (dnsmsg.A, dnsmsg.AAAA)[i % 2]))
            sock.recv(512)


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read().decode()


@test("promtool check metrics has nothing to say about a live scrape")
def promtool(env):
    burst(env)
    done = subprocess.run(["bash", "-o", "pipefail", "-c", f"curl -sS --fail {env.url}/metrics | promtool check metrics"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr, f"exit {done.returncode}: {done.stdout}{done.stderr}"


@test("the counts are those of the lookups: requests, responses, timeouts, durations")
def counts(env):
    silent = env.server.on(dnsmsg.unique("silent"), lambda q: [])
    twice = env.server.on(dnsmsg.unique("twice"), lambda q: [q.answer(), q.answer(dnsmsg.NXDOMAIN)])
    failing = env.server.on(dnsmsg.unique("fail"), lambda q: [q.answer(dnsmsg.SERVFAIL)])
    burst(env)
    with env.ns.socket() as sock:
        sock.connect((ADDRESS, 53))
        for ident, name in enumerate((silent, twice, failing)):
            sock.send(dnsmsg.query(name, ident=ident))
        sock.send(dnsmsg.query(silent, ident=0))  # once more
        env.watch.one(silent)
    env.agent.balance()
    mine = [l for l in env.watch.lookups if l["server"] == ADDRESS]
    samples = env.agent.metrics()
    expected = {
        "requests_total": sum(l["transmissions"] for l in mine if l["outcome"] in ("answered", "timeout", "superseded")),
        "responses_total": sum(l["has_answer"] for l in mine),
        "timeouts_total": sum(l["outcome"] == "timeout" for l in mine),
        "response_duration_seconds_count": sum(l["outcome"] == "answered" for l in mine),
    }
    for name, number in expected.items():
        have = total(samples, f"cortexflow_dns_{name}", server=ADDRESS)
        assert have == number > 0, f"{name}: metrics {have}, lookups {number}"
    for rcode, number in Counter(l["rcode"] for l in mine if l["has_answer"]).items():
        assert total(samples, "cortexflow_dns_responses_total", server=ADDRESS, rcode=rcode) == number, rcode
    seconds = total(samples, "cortexflow_dns_response_duration_seconds_sum", server=ADDRESS)
    assert math.isclose(seconds, sum(l["latency_ns"] for l in mine if l["outcome"] == "answered") / 1e9, rel_tol=1e-6)


@test("a name is in no label unless configured")
def names(env):
    burst(env, 2)
    assert "burst-" not in fetch(f"{env.url}/metrics")


@test("the agent tells about itself: events, map fill, programs, build")
def about_itself(env):
    def closed():
        rows = env.agent.metrics()
        emitted, delivered, lost = (total(rows, f"cortexflow_events_{part}_total") for part in ("emitted", "delivered", "lost"))
        return rows if emitted == delivered + lost else None

    samples = wait_until(closed, 5, "emitted == delivered + lost in one scrape")
    for name in ("events_emitted_total", "events_delivered_total", "events_lost_total", "bpf_map_entries",
                 "bpf_map_max_entries", "bpf_program_runs_total", "bpf_program_run_seconds_total", "build_info"):
        assert any(sample == f"cortexflow_{name}" for sample, _, _ in samples), name
    assert total(samples, "cortexflow_build_info") == 1


@test("the histogram resolves below a millisecond, and its buckets add up")
def buckets(env):
    burst(env)
    burst(env)
    samples = env.agent.metrics()
    rows = [(float(labels["le"]), value) for name, labels, value in samples
            if name == "cortexflow_dns_response_duration_seconds_bucket" and labels["server"] == ADDRESS]
    assert sum(le < 0.001 for le, _ in rows) >= 3, rows
    assert rows == sorted(rows) and [v for _, v in rows] == sorted(v for _, v in rows), rows
    assert rows[-1] == (math.inf, total(samples, "cortexflow_dns_response_duration_seconds_count", server=ADDRESS))


@test("/healthz and /readyz answer, and another path is not found")
def health(env):
    fetch(f"{env.url}/healthz")
    fetch(f"{env.url}/readyz")
    try:
        fetch(f"{env.url}/nothing")
    except urllib.error.HTTPError as error:
        assert error.code == 404, error
    else:
        raise AssertionError("/nothing was found")


@test("a real Prometheus scrapes the agent and answers a query for the p99 of the lookups' duration", seconds=40)
def prometheus(env):
    port = free_port()
    config = env.agent.place.path("prometheus.yml", f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: cfagent
    static_configs: [{{targets: ["127.0.0.1:{env.agent.place.metrics_port}"]}}]
""")
    sh("promtool", "check", "config", config)
    log = open(env.agent.place.path("prometheus.log"), "w", encoding="utf-8")
    process = subprocess.Popen(bound_to_us(["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                                            f"--storage.tsdb.path={env.agent.place.path('tsdb')}"]), stdout=log, stderr=log)

    def ask(query):
        try:
            answer = json.loads(fetch(f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})))
        except (OSError, urllib.error.URLError):
            return []
        assert answer["status"] == "success", answer
        return [float(row["value"][1]) for row in answer["data"]["result"]]

    def traffic_until(query, good):
        def condition():
            burst(env, 5)
            values = ask(query)
            return values if values and all(map(good, values)) else None

        return wait_until(condition, 20, query)

    try:
        traffic_until('up{job="cfagent"}', lambda value: value == 1)
        p99 = traffic_until("histogram_quantile(0.99, sum by (le) (rate(cortexflow_dns_response_duration_seconds_bucket"
                            f'{{server="{ADDRESS}"}}[10s])))', math.isfinite)
        assert 0 < p99[0] < 1, p99
        traffic_until(f'sum(rate(cortexflow_dns_requests_total{{server="{ADDRESS}"}}[10s]))', lambda value: value > 0)
    finally:
        process.kill()
        process.wait()
        log.close()
