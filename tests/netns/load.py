# SPDX-License-Identifier: Apache-2.0
"""wrk and iperf3 as clients, until they are told to end; and what they have to say then."""

import json
import re
import signal
import subprocess

from agent import wait_until


class Wrk:
    """Goes on asking for a page.  Each request is a connection of its own where the server closes after an answer."""

    def __init__(self, client, url, connections=8):
        self.process = client.popen("wrk", "--threads", "1", "--connections", connections, "--duration", "120s", "--timeout", "5s", url,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        """How many answers there were; nothing else may have happened."""
        assert self.process.poll() is None, self.process.communicate()[0]
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=20)
        assert "Socket errors" not in said and "Non-2xx" not in said, said
        return int(re.search(r"(\d+) requests in", said).group(1))

    def close(self):
        self.process.kill()
        self.process.wait()


class Iperf:
    """A server in `backend`, and a client that goes on sending to it."""

    def __init__(self, client, backend, at, address, port, *flags):
        self.server = backend.popen("iperf3", "--server", "--bind", at, "--port", port, "--forceflush", stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
        while "Server listening" not in (line := self.server.stdout.readline()):
            assert line, "iperf3's server ended"
        self.client = client.popen("iperf3", "--client", address, "--port", port, "--time", "120", "--bitrate", "20M", "--json", *flags,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        """Every interval has moved data, and it was ended by nothing but this."""
        assert self.client.poll() is None, self.client.communicate()[0]
        self.client.send_signal(signal.SIGINT)
        said = json.loads(self.client.communicate(timeout=20)[0])
        assert said["error"] == "interrupt - the client has terminated", said["error"]
        moved = [interval["sum"]["bytes"] for interval in said["intervals"]]
        assert moved and all(moved), moved

    def close(self):
        for process in (self.client, self.server):
            process.kill()
            process.wait()


def received(backend):
    """Octets that came into the backend's namespace."""
    (link,) = json.loads(backend.ip("-s", "-j", "link", "show", "dev", "veth0"))
    return link["stats64"]["rx"]["bytes"]


def wait_for_load(backends, what):
    """Returns when each has got a good deal more than it has now."""
    before = [received(backend) for backend in backends]
    wait_until(lambda: all(received(b) > had + 100_000 for b, had in zip(backends, before)), 20, what)
