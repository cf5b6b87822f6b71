# SPDX-License-Identifier: Apache-2.0
"""Start, reload, end.  Every test starts agents of its own."""

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
import urllib.request

import dnsmsg
from agent import Agent, Place, expect, total, wait_until
from dnsserver import Server
from harness import test
from isolation import CGROUP, cgroup
from loaded import nothing_left
from refusal import refused
from netns import Namespace, sh


def lookup_through(ns, watch, port=53, **fields):
    name = dnsmsg.unique("life")
    with ns.socket() as sock:
        sock.sendto(dnsmsg.query(name), ("127.0.0.1", port))
        sock.recv(512)
    expect(watch.one(name), outcome="answered", server_port=port, **fields)


@test("SIGTERM ends it though peers go on with requests that never end")
def ends_despite_peers():
    with nothing_left(), Place() as place:
        agent = Agent(place=place)
        with socket.create_connection(("127.0.0.1", place.metrics_port)) as scrape, _half_request(place.socket) as call:
            scrape.send(b"GET /metrics HTTP/1.1\r\n")

            def drip():
                while True:
                    for peer in (scrape, call):
                        with contextlib.suppress(OSError):
                            peer.send(b"x")
                    if ended.wait(0.2):
                        return

            ended = threading.Event()
            thread = threading.Thread(target=drip)
            thread.start()
            try:
                assert agent.stop(15) == 0, agent.log()
            finally:
                ended.set()
                thread.join()
        agent.close()


@test("a hundred peers at each socket that begin requests and never end them keep neither cfcli nor scrapes out")
def answers_despite_peers():
    with Place() as place, Agent(place=place) as agent, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(_half_request(place.socket)) for _ in range(100)]
        scrapers = [stack.enter_context(socket.create_connection(("127.0.0.1", place.metrics_port))) for _ in range(100)]
        for peer in scrapers:
            peer.send(b"GET /metrics HTTP/1.1\r\nX: ")
        ended = threading.Event()

        def drip():
            while not ended.wait(0.2):
                for peer in callers + scrapers:
                    with contextlib.suppress(OSError):
                        peer.send(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            done = agent.cfcli("status")
            assert done.returncode == 0, done
            assert any(map(_stands, callers)), "it was answered when the others' time was over"
            with urllib.request.urlopen(f"http://127.0.0.1:{place.metrics_port}/healthz", timeout=30) as answer:
                assert answer.status == 200
            assert any(map(_stands, scrapers)), "it was answered when the others' time was over"
        finally:
            ended.set()
            thread.join()


def _stands(peer):
    """Its other end has not closed it."""
    try:
        return bool(peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def _half_request(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.send(b"GET /v1/status HTTP/1.1\r\n")
        yield sock


@test("SIGTERM and SIGINT end it with status 0, and leave no program, map, link, pin or socket")
def ends_cleanly():
    for number in (signal.SIGTERM, signal.SIGINT):
        with nothing_left(), Place() as place:
            agent = Agent(place=place)
            assert place.pinned(), "nothing was pinned while it ran"
            agent.signal(number)
            assert agent.process.wait(10) == 0, agent.log()
            assert not place.pinned(), place.pinned()
            assert not os.path.exists(place.socket)
            agent.close()


@test("what is loaded is attached and pinned while it runs, and bpftool can read the maps by name")
def pinned():
    with Place() as place, Agent(place=place):
        names = [os.path.basename(pin) for pin in place.pinned()]
        assert any("dns" in name for name in names), names
        maps = [pin for pin in place.pinned() if os.path.basename(pin) in ("dns_settings", "settings", "dns_pending")]
        assert maps, names
        for pin in maps:
            sh("bpftool", "map", "dump", "pinned", pin)


@test("SIGTERM under load: what was emitted is delivered or lost, by the log's last line")
def drains_closed():
    with Namespace("drainload") as ns, Server(ns), Place() as place:
        agent = Agent(place=place)
        ended = threading.Event()

        def load():
            with ns.socket() as sock:
                sock.connect(("127.0.0.1", 53))
                while not ended.is_set():
                    sock.send(dnsmsg.query("drain.test"))
                    sock.recv(512)

        with _half_request(place.socket):  # holds the end up for a moment, in which traffic goes on
            thread = threading.Thread(target=load)
            thread.start()
            wait_until(lambda: agent.status()["delivered"] > 1000, 10, "a thousand lookups")
            agent.stop()
        ended.set()
        thread.join()
        emitted, delivered, lost = map(int, re.search(r"(\d+) records emitted, (\d+) delivered, (\d+) lost", agent.log()).groups())
        assert emitted == delivered + lost and emitted > 1000, agent.log()
        agent.close()


@test("SIGTERM drains: a watch gets its summary line, and the last lookups are in it")
def drains():
    with Namespace("drain") as ns, Server(ns), Place() as place:
        agent = Agent(place=place)
        with agent.watch() as watch:
            with ns.socket() as sock:
                sock.connect(("127.0.0.1", 53))
                names = [dnsmsg.unique("drain") for _ in range(50)]
                for name in names:
                    sock.send(dnsmsg.query(name))
                    sock.recv(512)
            assert agent.stop() == 0
            wait_until(lambda: watch.summary, 5, "the summary line")
            assert {l["name"] for l in watch.lookups} >= set(names), f"{len(watch.lookups)} lookups"
            assert watch.summary["shown"] == len(watch.lookups) and watch.summary["lost"] == 0, watch.summary
        agent.close()


@test("a killed agent costs no lookup, and the next one starts in its place and leaves nothing")
def killed():
    with nothing_left(), Namespace("kill") as ns, Server(ns), Place() as place:
        agent = Agent(place=place)
        agent.process.kill()
        agent.process.wait()
        with ns.socket() as sock:
            sock.sendto(dnsmsg.query("x.test"), ("127.0.0.1", 53))
            sock.recv(512)
        agent.close()
        with Agent(place=place) as following, following.watch() as watch:
            lookup_through(ns, watch)
        assert not place.pinned(), place.pinned()


@test("no lookup fails while agents start, stop and are killed")
def traffic_goes_on():
    with Namespace("go") as ns, Server(ns), Place() as place:
        failed, sent, done = [], [], threading.Event()

        def ask():
            with ns.socket() as sock:
                sock.settimeout(1)
                sock.connect(("127.0.0.1", 53))
                while not done.is_set():
                    sent.append(1)
                    try:
                        sock.send(dnsmsg.query(dnsmsg.unique("go")))
                        sock.recv(512)
                    except OSError as error:
                        failed.append(error)
                    time.sleep(0.001)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
                agent = Agent(place=place)
                agent.signal(end)
                agent.process.wait(10)
                agent.close()
        finally:
            done.set()
            thread.join(5)
        assert not failed, f"{len(failed)} of {len(sent)}: {failed[0]}"
        assert len(sent) > 50, len(sent)


@test("a second agent on the same node is refused, and the first goes on")
def second():
    with Namespace("second") as ns, Server(ns), Place() as place, Agent(place=place) as agent:
        refused(place.run("--log-level", "error"), "another agent is running", "--pin-path")
        with Place() as other:
            other.socket = place.socket
            refused(other.run("--log-level", "error"), "another agent is running", "agent.sock")
            assert not os.path.exists(other.pins)
        with agent.watch() as watch:
            lookup_through(ns, watch)
        assert place.pinned() and os.path.exists(place.socket), "the first one's pins and socket are gone"


@test("an agent whose cgroup root is removed ends and says so, instead of seeing nothing in silence")
def cgroup_removed():
    with nothing_left(), Place() as place, cgroup(f"{CGROUP}/removed") as directory:
        agent = Agent(place=place, cgroup_root=directory)
        os.rmdir(directory)
        assert agent.process.wait(10) == 1, agent.log()
        assert f"cgroup {directory} was removed" in agent.log() and "--cgroup-root" in agent.log(), agent.log()
        assert not place.pinned() and not os.path.exists(place.socket)
        agent.close()


@test("SIGHUP reads the configuration again: ports come and go, the rest goes on")
def reload():
    with Namespace("hup") as ns, Server(ns), Server(ns, port=5454), Place() as place:
        config = place.path("agent.yaml", "dns:\n  ports: [53]\n")
        with Agent("--config", config, place=place) as agent, agent.watch() as watch:
            assert agent.status()["dns_ports"] == [53]
            for ports, on, off in (([53, 5454], 5454, None), ([5454], 5454, 53), ([53], 53, 5454)):
                place.path("agent.yaml", f"dns:\n  ports: {ports}\n")
                agent.signal(signal.SIGHUP)
                wait_until(lambda p=ports: agent.status()["dns_ports"] == p, 3, f"ports {ports}")
                if off:
                    with ns.socket() as sock:
                        unseen = dnsmsg.unique("unseen")
                        sock.sendto(dnsmsg.query(unseen), ("127.0.0.1", off))
                        sock.recv(512)
                lookup_through(ns, watch, on)
                assert not off or not [l for l in watch.lookups if l["name"] == unseen]


@test("SIGHUP with a bad configuration changes nothing, and the log says why")
def bad_reload():
    with Namespace("badhup") as ns, Server(ns), Place() as place:
        config = place.path("agent.yaml", "dns:\n  ports: [53]\n")
        with Agent("--config", config, place=place) as agent, agent.watch() as watch:
            place.path("agent.yaml", "dns:\n  ports: [5454, many]\n")
            agent.signal(signal.SIGHUP)
            wait_until(lambda: "agent.yaml:2" in agent.log() and "dns.ports" in agent.log(), 3, "a log line with key and line")
            assert agent.status()["dns_ports"] == [53]
            lookup_through(ns, watch)


@test("SIGHUP with a directory in the configuration's place changes nothing, and each line of a JSON log is JSON")
def unreadable_reload():
    with Place() as place:
        config = place.path("agent.yaml", "dns:\n  ports: [53]\n")
        with Agent("--config", config, "--log-format", "json", place=place) as agent:
            place.path("agent.yaml", "dns:\n  timeout: 'so\"on'\n")
            agent.signal(signal.SIGHUP)
            wait_until(lambda: "agent.yaml:2" in agent.log(), 3, "a log line with key and line")
            os.unlink(config)
            os.mkdir(config)
            agent.signal(signal.SIGHUP)
            wait_until(lambda: "cannot read" in agent.log(), 3, "a log line with the cause")
            assert agent.status()["dns_ports"] == [53]
            messages = [json.loads(line)["message"] for line in agent.log().splitlines()]
            assert any('so"on' in message for message in messages), messages


@test("flags override the configuration file, and the environment overrides both")
def precedence():
    with Place() as place:
        config = place.path("agent.yaml", "dns:\n  ports: [1053]\n")
        with Agent("--config", config, place=place) as agent:
            assert agent.status()["dns_ports"] == [1053]
        with Agent("--config", config, "--dns-port", "2053", place=place) as agent:
            assert agent.status()["dns_ports"] == [2053]
        with Agent("--config", config, "--dns-port", "2053", place=place, env={"CORTEXFLOW_DNS_PORTS": "3053"}) as agent:
            assert agent.status()["dns_ports"] == [3053]


@test("with --dns-metrics-names the first names are labels, and the rest is other")
def metric_names():
    with Namespace("names") as ns, Server(ns, "127.53.8.1"), Agent("--dns-metrics-names", "3") as agent:
        with ns.socket() as sock:
            sock.connect(("127.53.8.1", 53))
            for i in range(10):
                sock.send(dnsmsg.query(f"Name{i}.test"))
                sock.recv(512)
        wait_until(lambda: total(agent.metrics(), "cortexflow_dns_requests_total", server="127.53.8.1") >= 10, 5, "ten requests")
        values = {labels["name"] for name, labels, _ in agent.metrics()
                  if name == "cortexflow_dns_requests_total" and labels["server"] == "127.53.8.1"}
        assert "other" in values and len(values) <= 4 and values - {"other"} <= {f"name{i}.test" for i in range(10)}, values


@test("a socket that was connected before the agent came is seen, with its process or none, never another's")
def connected_before():
    with Namespace("before") as ns, Server(ns), ns.socket() as udp, ns.socket(kind=socket.SOCK_STREAM) as tcp:
        udp.connect(("127.0.0.1", 53))
        tcp.connect(("127.0.0.1", 53))
        with Agent() as agent, agent.watch() as watch:
            first, second = dnsmsg.unique("udp"), dnsmsg.unique("tcp")
            udp.send(dnsmsg.query(first))
            udp.recv(512)
            tcp.sendall(dnsmsg.frame(dnsmsg.query(second)))
            tcp.recv(512)
            lookup = watch.one(first)
            expect(lookup, outcome="answered", netns=ns.inode)
            assert lookup["pid"] in (0, os.getpid()), lookup["pid"]
            # A stream that is joined in the middle may be given up, but not silently.
            wait_until(lambda: [l for l in watch.lookups if l["name"] == second] or sum(agent.status()["parse_errors"].values()),
                       3, "the TCP lookup, or a count of its loss")


@test("--dry-run says what would be loaded, and loads, pins and listens to nothing")
def dry_run():
    with nothing_left(), Place() as place:
        done = place.run("--dry-run")
        assert done.returncode == 0, done.stderr
        for word in ("cgroup_skb", "dns", "53"):
            assert word in done.stdout, f"{word} not in {done.stdout!r}"
        assert not place.pinned() and not os.path.exists(place.socket)


@test("--dry-run refuses what a run would refuse: settings file, pin path, address")
def dry_run_refuses():
    for flags, said in ((["--config", ""], "expected a path"), (["--pin-path", "/tmp/pins"], "/tmp/pins is not in a BPF file system"),
                        (["--metrics-listen", "nonsense:1"], "ADDRESS:PORT")):
        with nothing_left(), Place() as place:
            done = place.run(argv=[place.argv()[0], "--dry-run", *flags])
            assert done.returncode in (1, 2) and said in done.stderr, (flags, done)


@test("--version is one line with a version")
def version():
    with Place() as place:
        done = place.run(argv=[place.argv()[0], "--version"])
        assert done.returncode == 0 and re.fullmatch(r"cfagent \d+\.\d+\.\d+\S*\n", done.stdout), done
