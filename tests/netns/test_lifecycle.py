# SPDX-License-Identifier: Apache-2.0
"""Start, reload, end; and what the agent says when it can't.  Every test starts agents of its own."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import threading
import time

import dnsmsg
from agent import Agent, Place, expect, total, wait_until
from dnsserver import Server
from harness import test
from loaded import nothing_left
from netns import Namespace, sh


def pins(place):
    return [os.path.join(folder, name) for folder, _, files in os.walk(place.pins) for name in files]


def refused(done, *words, status=1):
    """It ended with that status and one sentence on standard error that has all the words."""
    assert done.returncode == status, f"exit {done.returncode}, expected {status}: {done.stderr}{done.stdout}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    missing = [word for word in words if not re.search(word, done.stderr, re.IGNORECASE)]
    assert not missing, f"{missing} not in {done.stderr!r}"
    assert len(lines) == 1, f"more than one line: {done.stderr!r}"


def lookup_through(ns, watch, port=53, **fields):
    name = dnsmsg.unique("life")
    with ns.socket() as sock:
        sock.sendto(dnsmsg.query(name), ("127.0.0.1", port))
        sock.recv(512)
    expect(watch.one(name), outcome="answered", server_port=port, **fields)


@test("SIGTERM and SIGINT end it with status 0, and leave no program, map, link, pin or socket")
def ends_cleanly():
    for number in (signal.SIGTERM, signal.SIGINT):
        with nothing_left(), Place() as place:
            agent = Agent(place=place)
            assert pins(place), "nothing was pinned while it ran"
            agent.signal(number)
            assert agent.process.wait(10) == 0, agent.log()
            assert not pins(place), pins(place)
            assert not os.path.exists(place.socket)
            agent.close()


@test("what is loaded is attached and pinned while it runs, and bpftool can read the maps by name")
def pinned():
    with Place() as place, Agent(place=place):
        names = [os.path.basename(pin) for pin in pins(place)]
        assert any("dns" in name for name in names), names
        maps = [pin for pin in pins(place) if os.path.basename(pin) in ("dns_settings", "settings", "dns_pending")]
        assert maps, names
        for pin in maps:
            sh("bpftool", "map", "dump", "pinned", pin)


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
        assert not pins(place), pins(place)


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
        refused(place.run(), "already|another|running")
        with agent.watch() as watch:
            lookup_through(ns, watch)
        assert pins(place) and os.path.exists(place.socket), "the first one's pins and socket are gone"


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
        assert not pins(place) and not os.path.exists(place.socket)


@test("--version is one line with a version")
def version():
    with Place() as place:
        done = place.run(argv=[place.argv()[0], "--version"])
        assert done.returncode == 0 and re.fullmatch(r"cfagent \d+\.\d+\.\d+\S*\n", done.stdout), done


@test("a bad configuration file ends with status 2, its key, its line and what was expected")
def bad_config():
    cases = [("log_level: info\ndns:\n  timeout: soon\n", r"agent\.yaml:3", r"dns\.timeout", "soon", "expected"),
             ("dns:\n  ports: [53, 70000]\n", r"agent\.yaml:2", r"dns\.ports", "70000", "65535"),
             ("dns:\n  ports: []\n", r"agent\.yaml:2", r"dns\.ports"),
             ("dns:\n  prots: [53]\n", r"agent\.yaml:2", r"dns\.prots", "expected"),
             ("log_level: loud\n", r"agent\.yaml:1", "log_level", "loud", "expected"),
             ("dns: 5\n", r"agent\.yaml:1", "dns"),
             ("dns:\n  timeout: {a: b}\n", r"agent\.yaml:2", r"dns\.timeout"),
             ("- a\n- b\n", "agent.yaml", "expected"),
             ("log_level: info\ndns: [53\n", r"agent\.yaml:\d", "YAML"),
             ("log_level: \"info\nother\x01\n", r"agent\.yaml")]
    with Place() as place:
        wrong = []
        for text, *words in cases:
            done = place.run("--config", place.path("agent.yaml", text))
            try:
                refused(done, *words, status=2)
            except AssertionError as error:
                wrong.append(f"{text!r}: {error}")
        assert not wrong, "\n".join(wrong)


@test("a configuration file that isn't there, and a bad flag, end with status 2 and a sentence")
def bad_flags():
    with Place() as place:
        refused(place.run("--config", place.path("none.yaml")), "none.yaml", "no such file", status=2)
        refused(place.run("--dns-port", "99999"), "--dns-port", "99999", "65535", status=2)
        refused(place.run("--dns-timeout", "never"), "--dns-timeout", "never", "expected", status=2)
        done = place.run("--frobnicate")
        assert done.returncode == 2 and "--frobnicate" in done.stderr, done


@test("a metrics port that is taken is refused with the port and what to do, and nothing is left loaded")
def port_taken():
    with nothing_left(), Place() as place, socket.socket() as sock:
        sock.bind(("127.0.0.1", place.metrics_port))
        sock.listen()
        refused(place.run("--log-level", "error"), str(place.metrics_port), "in use|taken", "--metrics-listen|metrics_listen")
        assert not pins(place) and not os.path.exists(place.socket)


@test("without root it is refused with what it needs")
def not_root():
    with Place() as place:
        os.chmod(place.dir, 0o755)
        done = place.run("--log-level", "error", prefix=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
        refused(done, "root|CAP_BPF")


@test("a control socket that somebody listens on is refused; one that was left behind is not")
def socket_present():
    with Place() as place:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(place.socket)
            other.listen()
            refused(place.run("--log-level", "error"), "agent.sock", "--control-socket|control_socket|listen|in use|running")
            assert os.path.exists(place.socket), "the other's socket was removed"
        with Agent(place=place) as agent:  # the file is still there, nobody listens
            assert stat.S_IMODE(os.stat(place.socket).st_mode) == 0o660, oct(os.stat(place.socket).st_mode)
            assert agent.status()["pid"] == agent.pid


@test("a file in the place of the control socket is refused and kept")
def file_present():
    with nothing_left(), Place() as place:
        with open(place.socket, "w", encoding="ascii") as file:
            file.write("precious")
        refused(place.run("--log-level", "error"), "agent.sock")
        with open(place.socket, encoding="ascii") as file:
            assert file.read() == "precious"


@test("a pin path outside a BPF file system is refused with what to do")
def pin_path():
    with nothing_left(), Place() as place:
        place.pins = place.path("plain")
        refused(place.run("--log-level", "error"), "plain", "bpf", "--pin-path|mount")


@test("systemd is told READY=1, RELOADING=1 and STOPPING=1")
def notify():
    with Place() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(place.path("notify"))
        sock.settimeout(5)
        with Agent(place=place, env={"NOTIFY_SOCKET": place.path("notify")}) as agent:
            assert b"READY=1" in sock.recv(512)
            agent.signal(signal.SIGHUP)
            assert b"RELOADING=1" in sock.recv(512)
            assert b"READY=1" in sock.recv(512)
            agent.stop()
            assert b"STOPPING=1" in sock.recv(512)
