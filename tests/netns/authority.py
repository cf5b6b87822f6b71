# SPDX-License-Identifier: Apache-2.0
"""A running cfidentity in a folder of its own, and cfcli cert against it."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile

from agent import BUILD, CFCLI, free_port, wait_until
from isolation import PREFIX

CFIDENTITY = os.path.join(BUILD, "identity", "daemon", "cfidentity")
DOMAIN = "example.org"
CART_UID = 61001  # of no account


class Authority:
    """`authority` are the lines of that section of identity.yaml beside the passphrase, `beside` lines of its own.
    `start` False makes the folder and the settings alone."""

    def __init__(self, authority=(), beside=(), passphrase=True, start=True):
        self.beside = beside
        self.has_passphrase = passphrase
        self.dir = tempfile.mkdtemp(prefix=PREFIX)
        os.chmod(self.dir, 0o755)
        self.socket = self.path("identity.sock")
        self.workload_socket = self.path("workload.sock")
        self.metrics_port = free_port()
        self.crl_port = free_port()
        with open(self.path("passphrase"), "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write("a passphrase of the tests\n")
        self.settings(authority)
        self.process = None
        if start:
            self.start()

    def settings(self, authority=(), workloads=None):
        workloads = workloads or [f"{{spiffe_id: spiffe://{DOMAIN}/ns/shop/sa/cart, uid: {CART_UID}, dns_names: [cart.shop.svc, '*.cart.shop.svc']}}"]
        lines = [f"trust_domain: {DOMAIN}", self.state(), f"control_socket: {self.socket}", f"workload_api_socket: {self.workload_socket}",
                 f"metrics_listen: 127.0.0.1:{self.metrics_port}", f"crl_listen: 127.0.0.1:{self.crl_port}",
                 f"crl_url: {self.crl_url()}", *self.beside, "authority:",
                 *([f"  passphrase_file: {self.path('passphrase')}"] if self.has_passphrase else []), *(f"  {line}" for line in authority),
                 "certificates:", "  lifetime_max: 30d", "workloads:", *(f"  - {w}" for w in workloads)]
        with open(self.path("identity.yaml"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def state(self):
        """The line that says where its state is kept."""
        return f"state_dir: {self.path('state')}"

    def crl_url(self):
        return f"http://127.0.0.1:{self.crl_port}"

    def path(self, name):
        return os.path.join(self.dir, name)

    def argv(self):
        return [CFIDENTITY, "--config", self.path("identity.yaml")]

    def start(self):
        self._log = open(self.path("log"), "a+", encoding="utf-8")
        self.process = subprocess.Popen(self.argv(), stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL)

        def ready():
            assert self.process.poll() is None, self.log()
            return self.answers()

        wait_until(ready, 15, "cfidentity answers")

    def answers(self):
        return self.curl("/v1/status").returncode == 0

    def log(self):
        with open(self.path("log"), encoding="utf-8") as file:
            return file.read()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(10)
        self._log.close()
        return status

    def curl(self, path, *flags, uid=None, text=True):
        return subprocess.run([*as_user(uid), "curl", "-sS", "--fail-with-body", "--unix-socket", self.socket, *flags,
                               f"http://identity{path}"], capture_output=True, text=text, timeout=10, check=False)

    def post(self, path, body, uid=None):
        done = self.curl(path, "-d", json.dumps(body), "-H", "Content-Type: application/json", uid=uid)
        return done.returncode, json.loads(done.stdout)

    def cli(self, *args, uid=None):
        return subprocess.run([*as_user(uid), CFCLI, "cert", "--identity-socket", self.socket, *args],
                              capture_output=True, text=True, timeout=10, check=False)

    def json(self, *args, uid=None):
        done = self.cli(*args, "-o", "json", uid=uid)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def close(self):
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            with contextlib.suppress(ValueError):
                self._log.close()
        subprocess.run(["rm", "-rf", "--one-file-system", self.dir], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def as_user(uid):
    return [] if uid is None else ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
