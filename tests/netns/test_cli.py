# SPDX-License-Identifier: Apache-2.0
"""cfcli against a running agent."""

import json
import os
import select
import signal
import subprocess
import tarfile
import tempfile
from types import SimpleNamespace

import dnsmsg
from agent import CFCLI, Agent
from dnsserver import Server
from harness import test
from netns import Namespace, bound_to_us

NAMES = {"one": "one.cli.test", "two": "two.cli.test", "bad": "bad.cli.test", "missing": "missing.cli.test",
         "slow": "slow.cli.test", "silent": "silent.cli.test"}


def setup(stack):
    agent = stack.enter_context(Agent("--dns-timeout", "1s"))
    ns = stack.enter_context(Namespace("cli"))
    server = stack.enter_context(Server(ns))
    other = stack.enter_context(Server(ns, "127.0.0.2"))
    server.on(NAMES["bad"], lambda q: [q.answer(dnsmsg.SERVFAIL)])
    server.on(NAMES["missing"], lambda q: [q.answer(dnsmsg.NXDOMAIN)])
    server.on(NAMES["slow"], lambda q: [(0.1, q.answer())])
    server.on(NAMES["silent"], lambda q: [])
    watch = stack.enter_context(agent.watch())
    env = SimpleNamespace(agent=agent, ns=ns, server=server, other=other, watch=watch)
    ask(env)
    watch.named(NAMES["silent"], 1)
    return env


def ask(env, names=tuple(NAMES.values())):
    with env.ns.socket() as sock:
        for name in names:
            sock.sendto(dnsmsg.query(name), ("127.0.0.1", 53))
            if name != NAMES["silent"]:
                sock.recv(512)
        sock.sendto(dnsmsg.query(NAMES["two"], dnsmsg.AAAA), ("127.0.0.2", 53))
        sock.recv(512)


def cli(env, *args, status=0):
    done = env.agent.cfcli(*args)
    assert done.returncode == status, f"cfcli {' '.join(args)}: exit {done.returncode}: {done.stderr or done.stdout}"
    return done.stdout


def seen(env, *filters):
    """What a watch over the past shows: (name, type) of the lookups of this file's names; the last line is the summary."""
    values = [json.loads(line) for line in cli(env, "dns", "watch", "--since", "1h", "-o", "json", *filters).splitlines()]
    assert set(values[-1]) == {"summary"}, values[-1]
    lookups = [value["lookup"] for value in values[:-1]]
    assert values[-1]["summary"]["shown"] == len(lookups), values[-1]
    assert values[-1]["summary"]["lost"] == 0
    return sorted({(l["name"].split(".")[0], l["qtype"]) for l in lookups if l["name"].endswith(".cli.test")})


def pairs(*names):
    return sorted((name, "A") for name in names)


ALL = sorted([*pairs(*NAMES), ("two", "AAAA")])


@test("dns watch -o json is a JSON object a line, and ends with what was seen and lost")
def watch_json(env):
    assert seen(env) == ALL


@test("dns watch filters by name glob, type, rcode, server, pid, latency and failure; --not turns them round")
def filters(env):
    pid = str(os.getpid())
    # Slow is who was: on a loaded machine others may be, too.
    slow = sorted({(l["name"].split(".")[0], l["qtype"]) for l in env.watch.lookups
                   if l["name"].endswith(".cli.test") and l["latency_ns"] > 50_000_000})
    assert {*pairs("slow", "silent")} <= {*slow}, slow
    cases = [(("--name", "t*.cli.test"), [("two", "A"), ("two", "AAAA")]),
             (("--name", "ONE.cli.test"), pairs("one")),
             (("--name", "one.cli.test", "--name", "bad.cli.test"), pairs("one", "bad")),
             (("--type", "AAAA"), [("two", "AAAA")]),
             (("--rcode", "NXDOMAIN"), pairs("missing")),
             (("--rcode", "SERVFAIL", "--rcode", "NXDOMAIN"), pairs("bad", "missing")),
             (("--server", "127.0.0.2"), [("two", "AAAA")]),
             (("--pid", pid, "--name", "one*"), pairs("one")),
             (("--pid", "1"), []),
             (("--latency-above", "50ms"), slow),
             (("--failed",), pairs("bad", "silent")),
             (("--failed", "--rcode", "SERVFAIL"), pairs("bad")),
             (("--name", "*.cli.test", "--not", "--type", "AAAA"), pairs(*NAMES)),
             (("--not", "--name", "t*", "--not", "--name", "s*"), pairs("one", "bad", "missing"))]
    wrong = []
    for flags, expected in cases:
        try:
            found = seen(env, *flags)
        except AssertionError as error:
            found = error
        if found != sorted(expected):
            wrong.append(f"{' '.join(flags)}: {found}, expected {sorted(expected)}")
    assert not wrong, "\n".join(wrong)


@test("a filter that can't be is refused with a sentence on standard error and a non-zero status")
def bad_filters(env):
    for flags in (("--type", "NOSUCH"), ("--rcode", "NOSUCH"), ("--latency-above", "fast"), ("--pid", "x"),
                  ("--server", "nonsense"), ("--since", "yesterday")):
        done = env.agent.cfcli("dns", "watch", *flags)
        assert done.returncode == 2 and done.stderr.strip() and not done.stdout, (flags, done)


@test("dns watch --follow shows lookups as they end, each at once, and Ctrl-C ends it with the summary")
def follow(env):
    process = subprocess.Popen(bound_to_us([CFCLI, "--socket", env.agent.place.socket, "dns", "watch", "--follow", "-o", "json"]),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not select.select([process.stdout], [], [], 0.05)[0]:  # until it follows
            env.agent.mark()
        env.watch.settle()
        name = dnsmsg.unique("follow")
        ask(env, [name])
        shown = (json.loads(line)["lookup"]["name"] for line in process.stdout)
        assert name in shown
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=5)
    finally:
        process.kill()
        process.wait()
    assert "seen" in out.splitlines()[-1] and "lost" in out.splitlines()[-1], (out, err)
    json.loads(out.splitlines()[-1])


@test("dns watch -o table and wide have a row a lookup and end with a line of what was seen and lost")
def tables(env):
    for form in ("table", "wide"):
        done = env.agent.cfcli("dns", "watch", "--since", "1h", "-o", form)
        assert done.returncode == 0, done.stderr
        for name in NAMES.values():
            assert name in done.stdout, f"{name} not in {done.stdout}"
        assert "\x1b" not in done.stdout, "colour into a pipe"
        last = (done.stdout + done.stderr).strip().splitlines()[-1]
        assert "lost" in last, last


@test("a name with control characters can't write to the terminal")
def no_escape_codes(env):
    with env.ns.socket() as sock:
        sock.sendto(dnsmsg.query([b"\x1b[31mred\x07", b"cli", b"test"]), ("127.0.0.1", 53))
        sock.recv(512)
    env.watch.wait_for(lambda l: "red" in l["name"])
    out = cli(env, "dns", "watch", "--since", "1h", "--color", "never")
    assert "\x1b" not in out and "\x07" not in out and "red" in out


@test("status -o json, yaml and table are valid and say which hook serves each function")
def status(env):
    value = json.loads(cli(env, "status", "-o", "json"))
    assert value["pid"] == env.agent.pid and value["functions"] and value["maps"], value
    hooks = {function["name"]: function["hook"] for function in value["functions"]}
    assert all(hooks.values()), hooks
    assert value["emitted"] == value["delivered"] + sum(value["lost"].values())
    text = cli(env, "status", "-o", "yaml")
    assert f"pid: {env.agent.pid}" in text and not text.lstrip().startswith("{"), text[:200]
    table = cli(env, "status")
    assert all(hook in table for hook in hooks.values()), (hooks, table)
    done = subprocess.run(["jq", "-e", ".functions | length > 0"], input=cli(env, "status", "-o", "json"), text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@test("dns top --once by name, server, process, workload and type has the right counts, failures and latencies")
def top(env):
    env.server.on("bad.top.test", lambda q: [q.answer(dnsmsg.SERVFAIL)])
    env.server.on("slow.top.test", lambda q: [(0.1, q.answer())])
    env.server.on("silent.top.test", lambda q: [])
    with env.ns.socket() as sock:
        sock.sendto(dnsmsg.query("silent.top.test"), ("127.0.0.1", 53))
        for name in ("two.top.test", "Two.top.test", "bad.top.test", "slow.top.test"):
            sock.sendto(dnsmsg.query(name), ("127.0.0.1", 53))
            sock.recv(512)
        sock.sendto(dnsmsg.query("other.top.test", dnsmsg.AAAA), ("127.0.0.2", 53))
        sock.recv(512)
        env.watch.wait_for(lambda l: l["name"].lower().endswith(".top.test"), 6)

    def rows(*flags):
        value = json.loads(cli(env, "dns", "top", "--once", "-o", "json", "--name", "*.top.test", *flags))
        assert value["window"]["complete"] and value["window"]["overwritten"] == 0, value["window"]
        assert value["total"]["lookups"] == sum(row["lookups"] for row in value["rows"]) == 6, value
        return {row["key"]: row for row in value["rows"]}

    def counts(*flags):
        return {key: row["lookups"] for key, row in rows(*flags).items()}

    by_name = rows()
    assert counts() == {"two.top.test": 2, "bad.top.test": 1, "slow.top.test": 1, "silent.top.test": 1,
                        "other.top.test": 1}
    assert {key for key, row in by_name.items() if row["failed"]} == {"bad.top.test", "silent.top.test"}, by_name
    silent = by_name["silent.top.test"]
    assert silent["timeouts"] == 1 and silent["p99_latency_ns"] is None, silent
    assert next(iter(rows("--sort", "p99"))) == "slow.top.test"
    assert counts("--by", "server") == {"127.0.0.1:53": 5, "127.0.0.2:53": 1}
    assert counts("--by", "type") == {"A": 5, "AAAA": 1}
    for key in ("process", "workload"):
        assert list(counts("--by", key).values()) == [6], key
    table = cli(env, "dns", "top", "--once", "--by", "server")
    assert "all that ended since" in table and "127.0.0.2:53" in table, table


@test("workload list and bpf list, as table, JSON and YAML")
def lists(env):
    rows = json.loads(cli(env, "workload", "list", "-o", "json"))
    rows = rows if isinstance(rows, list) else rows["workloads"]
    assert rows and sum(row["lookups"] for row in rows) >= len(NAMES), rows
    programs = json.loads(cli(env, "bpf", "list", "-o", "json"))
    names = [program["name"] for program in (programs if isinstance(programs, list) else programs["programs"])]
    assert any("dns" in name for name in names), names
    for noun in ("workload", "bpf"):
        for form in ("table", "wide", "yaml"):
            assert cli(env, noun, "list", "-o", form).strip(), (noun, form)
    assert all(name in cli(env, "bpf", "list") for name in names)
    assert sorted(cli(env, "bpf", "list", "-o", "name").split()) == sorted(names)


@test("logs shows the agent's own lines")
def logs(env):
    lines = cli(env, "logs").splitlines()
    assert any("cfagent" in line for line in lines) and all(line.strip() for line in lines), lines


@test("version names cfcli's version and the agent's")
def version(env):
    assert env.agent.status()["version"] in cli(env, "version")
    json.loads(cli(env, "version", "-o", "json"))


@test("the completion for bash is taken by bash, and completes a noun; zsh and fish have one")
def completion(env):
    script = cli(env, "completion", "bash")
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    probe = script + '\nCOMP_WORDS=(cfcli sta); COMP_CWORD=1; COMP_LINE="cfcli sta"; COMP_POINT=9\n' \
        'f=$(complete -p cfcli | sed -E "s/.*-F ([^ ]+).*/\\1/"); $f cfcli sta cfcli; echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", probe], text=True, capture_output=True, check=False,
                          env={**os.environ, "PATH": os.path.dirname(CFCLI) + ":" + os.environ["PATH"]})
    assert "status" in done.stdout.split(), (done.stdout, done.stderr)
    for shell in ("zsh", "fish"):
        assert "cfcli" in cli(env, "completion", shell)


@test("no agent: one sentence with the socket and the next step on standard error, status not 0")
def no_agent(env):
    done = subprocess.run([CFCLI, "--socket", "/nowhere/agent.sock", "status"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and not done.stdout and "/nowhere/agent.sock" in done.stderr, done
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@test("an unknown command and a bad output form are refused with a non-zero status")
def unknown(env):
    for args in (("frobnicate",), ("dns", "frobnicate"), ("status", "-o", "xml")):
        done = env.agent.cfcli(*args)
        assert done.returncode != 0 and done.stderr.strip(), args


@test("a reader that goes away (head) ends the watch quietly")
def broken_pipe(env):
    done = subprocess.run(["bash", "-c", f'"{CFCLI}" --socket "{env.agent.place.socket}" dns watch --since 1h -o json | head -1'],
                          capture_output=True, text=True, timeout=10, check=False)
    json.loads(done.stdout)
    assert "terminate" not in done.stderr and "error" not in done.stderr.lower(), done.stderr


@test("output that can't be written is a failure that is told, short or long")
def output_refused(env):
    for command in (["status"], ["dns", "top", "--once"], ["dns", "watch", "--since", "1m"], ["completion", "bash"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            argv = bound_to_us([CFCLI, "--socket", env.agent.place.socket, *command])
            done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=10, check=False)
        assert done.returncode == 1 and "cannot write the output" in done.stderr, (command, done)


@test("sysdump puts what a bug report needs of one machine into an archive that only its owner reads, and says what is missing")
def sysdump(env):
    with tempfile.TemporaryDirectory() as place:
        file = f"{place}/dump.tar.gz"
        said = json.loads(cli(env, "sysdump", "--file", file, "--metrics", f"127.0.0.1:{env.agent.place.metrics_port}", "-o", "json"))
        assert os.stat(file).st_mode & 0o077 == 0
        with tarfile.open(file) as archive:
            texts = {one.name.split("/", 1)[1]: archive.extractfile(one).read().decode() for one in archive.getmembers() if one.isfile()}
    assert NAMES["one"] in texts["machine/lookups.json"] and "cortexflow_dns_requests_total" in texts["machine/metrics.txt"], sorted(texts)
    assert json.loads(texts["machine/status.json"])["pid"] == env.agent.pid
    assert said["missing"] == [line for line in texts["missing.txt"].splitlines() if ": " in line], (said, texts["missing.txt"])


@test("sysdump of a machine without an agent has the rest, and says so", seconds=30)
def sysdump_alone(_):
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run([CFCLI, "--socket", "/nowhere/agent.sock", "sysdump", "--file", f"{place}/dump.tar.gz"], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "no agent is running" in done.stderr, done
        with tarfile.open(f"{place}/dump.tar.gz") as archive:
            names = [one.name.split("/", 1)[1] for one in archive.getmembers() if one.isfile()]
        assert "machine/os-release.txt" in names and "machine/status.json" not in names, names
