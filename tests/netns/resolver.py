# SPDX-License-Identifier: Apache-2.0
"""unbound as the resolver whose own figures are the truth: local data, and one zone that always fails."""

import os
import subprocess
import tempfile

from agent import wait_until
from isolation import PREFIX
from netns import sh

CONFIG = """
server:
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{dir}"
  pidfile: "{dir}/pid"
  use-syslog: no
  logfile: "{dir}/log"
  log-queries: yes
  extended-statistics: yes
  num-threads: 1
  module-config: "iterator"
  {interfaces}
  access-control: 0.0.0.0/0 allow
  incoming-num-tcp: 100
  so-rcvbuf: 4m
  do-not-query-localhost: no
  local-zone: "." static
  local-zone: "refused.test." refuse
  local-zone: "servfail.test." transparent
  local-data: "a.test. A 192.0.2.1"
  local-data: "a.test. AAAA 2001:db8::1"
  local-data: "a.test. TXT hello"
  local-data: "a.test. MX 10 a.test."
forward-zone:
  name: "servfail.test."
  forward-addr: {upstream}
remote-control:
  control-enable: yes
  control-interface: "{dir}/control"
  control-use-cert: no
"""


class Unbound:
    """Answers *.a-names from local data; `upstream` ("address@port") is asked for servfail.test only."""

    def __init__(self, ns, *addresses, upstream="127.0.0.1@5398"):
        self._dir = tempfile.TemporaryDirectory(prefix=f"{PREFIX}unbound-")
        self.config = os.path.join(self._dir.name, "unbound.conf")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(dir=self._dir.name, upstream=upstream,
                                     interfaces="\n  ".join(f"interface: {a}" for a in addresses or ("127.0.0.1",))))
        self._process = ns.popen("unbound", "-c", self.config, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_until(self._ready, 10, "unbound answers its control socket")
        except BaseException:
            self.close()
            raise

    def _ready(self):
        assert self._process.poll() is None, f"unbound: {self._process.stderr.read()}"
        return subprocess.run(["unbound-control", "-c", self.config, "status"], capture_output=True, check=False).returncode == 0

    def statistics(self):
        lines = sh("unbound-control", "-c", self.config, "stats_noreset").split()
        return {key: float(value) for key, value in (line.split("=") for line in lines)}

    def log(self):
        with open(os.path.join(self._dir.name, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        self._process.kill()
        self._process.wait()
        self._dir.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def dnsperf(ns, queries, *flags, address="127.0.0.1", timeout=30):
    """Runs dnsperf over a list of (name, type); answers its figures by name."""
    with tempfile.NamedTemporaryFile("w", prefix=PREFIX, suffix=".queries") as file:
        file.write("".join(f"{name} {qtype}\n" for name, qtype in queries))
        file.flush()
        out = ns.run("dnsperf", "-s", address, "-d", file.name, *flags, timeout=timeout)
    figures = {}
    for line in out.splitlines():
        key, colon, value = line.strip().partition(":")
        if colon and value.split() and value.split()[0].replace(".", "", 1).isdigit():
            figures[key] = float(value.split()[0])
    return figures
