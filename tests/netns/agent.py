# SPDX-License-Identifier: Apache-2.0
"""The agent under test, its control API, and cfcli."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import dnsmsg
from isolation import CGROUP, PATIENCE, PREFIX
from netns import bound_to_us, sh

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CORTEXFLOW_BUILD", os.path.join(ROOT, "build"))
CFAGENT = os.path.join(BUILD, "agent", "cfagent")
CFCLI = os.path.join(BUILD, "cli", "cfcli")


MARK_SERVER = "127.53.53.53"  # of no test


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(condition, timeout=5.0, what="condition"):
    """Polls; answers the first true value of `condition()`."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {timeout:g} s: {what}"
        time.sleep(0.02)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Place:
    """A private folder, and a private bpffs for the pins: the machine's own may not be mounted, or be in use."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix=PREFIX)
        self.bpffs = os.path.join(self.dir, "bpffs")
        os.mkdir(self.bpffs)
        sh("mount", "-t", "bpf", "bpf", self.bpffs)
        self.socket = os.path.join(self.dir, "agent.sock")
        self.pins = os.path.join(self.bpffs, "cortexflow")
        self.state = os.path.join(self.dir, "state")
        self.metrics_port = free_port()
        self.metrics_listen = f"127.0.0.1:{self.metrics_port}"

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def write(self, name, text):
        """As an editor does: beside, then renamed into place.  Objects become a document each."""
        if not isinstance(text, str):
            text = "\n---\n".join(json.dumps(document) for document in text)
        os.rename(self.path(f"{name}.new", text), self.path(name))

    def argv(self, *flags, cgroup_root=CGROUP):
        """`cgroup_root` None leaves it to the agent: it observes the whole machine."""
        return [CFAGENT, "--control-socket", self.socket, "--metrics-listen", self.metrics_listen,
                "--pin-path", self.pins, "--state-dir", self.state, *(["--cgroup-root", cgroup_root] if cgroup_root else []), *flags]

    def pinned(self):
        return [os.path.join(folder, name) for folder, _, files in os.walk(self.pins) for name in files]

    def run(self, *flags, prefix=(), timeout=15, argv=None, cgroup_root=CGROUP):
        """Runs the agent to its end, for the cases in which it must end by itself."""
        argv = argv or self.argv(*flags, cgroup_root=cgroup_root)
        return subprocess.run(bound_to_us([*prefix, *argv]), capture_output=True, text=True, timeout=timeout * PATIENCE, check=False)

    def close(self):
        subprocess.run(["umount", self.bpffs], capture_output=True, check=False)
        subprocess.run(["rm", "-rf", "--one-file-system", self.dir], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Agent:
    """A running agent.  The constructor returns when its control API answers."""

    def __init__(self, *flags, place=None, env=None, prefix=(), cgroup_root=CGROUP):
        self.place = place or Place()
        self._own_place = place is None
        self._log = open(self.place.path("agent.log"), "a+", encoding="utf-8")
        argv = bound_to_us([*prefix, *self.place.argv(*flags, cgroup_root=cgroup_root)])
        self.process = subprocess.Popen(argv, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})})
        try:
            self._wait_ready()
        except BaseException:
            self.close()
            raise

    def _wait_ready(self):
        def ready():
            assert self.process.poll() is None, f"agent ended with {self.process.returncode}: {self.log()}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.status()

        wait_until(ready, 20, "control API answers")

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.place.path("agent.log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-4000:]

    def get(self, path, timeout=5):
        connection = _UnixConnection(self.place.socket, timeout * PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise http.client.HTTPException(f"GET {path}: {response.status} {body[:300]!r}")
            return json.loads(body)
        finally:
            connection.close()

    def status(self):
        return self.get("/v1/status")

    def watch(self, **parameters):
        return Watch(self, **parameters)

    def mark(self):
        """Sends an answer that nobody asked for, and answers its name: its record comes behind all that ended before."""
        name = dnsmsg.unique("mark")
        port = self.status()["dns_ports"][0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            server.bind((MARK_SERVER, port))
            client.bind(("127.0.0.1", 0))
            server.sendto(dnsmsg.Query(dnsmsg.query(name), "udp").answer(), client.getsockname())
        return name

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.place.metrics_port}/metrics", timeout=5 * PATIENCE) as response:
            return parse_metrics(response.read().decode())

    def cfcli_argv(self, *args):
        return bound_to_us([CFCLI, "--socket", self.place.socket, *args])

    def cfcli(self, *args, timeout=20):
        return subprocess.run(self.cfcli_argv(*args), capture_output=True, text=True, timeout=timeout * PATIENCE, check=False)

    def balance(self):
        """Waits until the ring is drained, and answers the status; the accounting must be closed by then."""
        def closed():
            status = self.status()
            return status if status["emitted"] == status["delivered"] + sum(status["lost"].values()) else None

        try:
            return wait_until(closed, 10, "emitted == delivered + lost")
        except AssertionError as error:
            status = self.status()
            raise AssertionError(f"{error}: {({k: status[k] for k in ('emitted', 'delivered', 'lost')})}") from error

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=10):
        """SIGTERM; answers the exit status."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(timeout * PATIENCE)

    def close(self):
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._log.close()
            if self._own_place:
                self.place.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Watch:
    """Follows /v1/dns/lookups into a list."""

    def __init__(self, agent, **parameters):
        self._agent = agent
        self.lookups = []
        self.summary = None
        self.error = None
        self._changed = threading.Condition()
        self._connection = _UnixConnection(agent.place.socket, None)
        parameters.setdefault("follow", "true")
        self._connection.request("GET", "/v1/dns/lookups?" + urllib.parse.urlencode(parameters))
        self._socket = self._connection.sock
        self._response = self._connection.getresponse()
        if self._response.status != 200:
            raise http.client.HTTPException(f"/v1/dns/lookups: {self._response.status} {self._response.read()[:300]!r}")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            while line := self._response.readline():
                if not line.strip():
                    continue
                value = json.loads(line)
                with self._changed:
                    if "lookup" in value:
                        self.lookups.append(value["lookup"])
                    elif "summary" in value:  # "progress" tells nothing that a test waits for
                        self.summary = value["summary"]
                    self._changed.notify_all()
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            self.error = error
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, predicate, count=1, timeout=5.0):
        """The lookups for which predicate(lookup) holds, once there are `count` of them."""
        timeout *= PATIENCE
        found, at = [], 0
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                found += [lookup for lookup in self.lookups[at:] if predicate(lookup)]
                at = len(self.lookups)
                if len(found) >= count:
                    return found
                left = end - time.monotonic()
                if left <= 0:
                    recent = [brief(lookup) for lookup in self.lookups[-5:]]
                    raise AssertionError(f"{len(found)} of {count} lookups within {timeout:g} s; found {list(map(brief, found))[-5:]}; last seen {recent}")
                self._changed.wait(left)

    def settle(self):
        """Returns when all that ended before the call is in `lookups`."""
        mark = self._agent.mark()
        self.wait_for(lambda lookup: lookup["name"] == mark)

    def named(self, name, count=1, timeout=5.0):
        """The lookups of that name: exactly `count`, and no more by now."""
        def match(lookup):
            return lookup["name"] == name

        self.wait_for(match, count, timeout)
        self.settle()
        found = [lookup for lookup in self.lookups if match(lookup)]
        assert len(found) == count, f"{len(found)} lookups of {name}, expected {count}: {[brief(l) for l in found]}"
        return found

    def one(self, name, timeout=5.0):
        return self.named(name, 1, timeout)[0]

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def brief(lookup):
    keys = ("name", "qtype", "outcome", "rcode", "transmissions", "id", "client_port", "pid")
    return {key: lookup.get(key) for key in keys}


def expect(lookup, **fields):
    """The lookup's fields have these values; all that differ are in the message."""
    wrong = {key: f"{lookup.get(key)!r}, expected {value!r}" for key, value in fields.items() if lookup.get(key) != value}
    assert not wrong, f"{lookup['name']}: {wrong}"


_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse_metrics(text):
    """Prometheus text -> list of (name, labels, value)."""
    samples = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = _SAMPLE.match(line).groups()
            samples.append((name, dict(_LABEL.findall(labels or "")), float(value)))
    return samples


def total(samples, name, **labels):
    """Sum over the samples of that name that have the given labels."""
    return sum(value for sample, have, value in samples
               if sample == name and all(have.get(key) == want for key, want in labels.items()))
