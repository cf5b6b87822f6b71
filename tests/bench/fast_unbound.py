# SPDX-License-Identifier: Apache-2.0
"""unbound as fast as it gets: one thread, local data, no log, no statistics, so that tracing shows beside it."""

import os
import subprocess

from agent import wait_until
from place import cpu_seconds

ADDRESS = "127.0.0.1"
CONFIG = """
server:
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{dir}"
  pidfile: ""
  use-syslog: no
  logfile: "{dir}/unbound.log"
  interface: 127.0.0.1
  num-threads: 1
  so-rcvbuf: 4m
  so-sndbuf: 4m
  module-config: "iterator"
  local-zone: "bench.test." redirect
  local-data: "bench.test. A 192.0.2.1"
remote-control:
  control-enable: no
"""


class FastUnbound:
    """Answers every name below bench.test.  Its sockets are in the place's cgroup, as on a node with its own resolver."""

    def __init__(self, place):
        self._place = place
        config = os.path.join(place.dir, "unbound.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(dir=place.dir))
        self._process = subprocess.Popen(place.argv(place.server_cpu, "unbound", "-d", "-c", config), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_until(self._answers, 10, "unbound answers")
        except BaseException:
            self.close()
            raise

    def _answers(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"unbound ended: {self._process.stderr.read().decode(errors='replace')}")
        try:
            return self._place.ask(self._place.client_cpu, ADDRESS, 0.01)
        except RuntimeError:
            return None

    def cpu_seconds(self):
        return cpu_seconds(self._process.pid)

    def close(self):
        self._process.kill()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
