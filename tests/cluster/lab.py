# SPDX-License-Identifier: Apache-2.0
"""A control plane of its own, and an agent beside it."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from agent import Agent
from isolation import CGROUP, PREFIX
from netns import Namespace, sh

KUBELAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kubelab")


class LabNamespace(Namespace):
    """The lab's network namespace: the lab made it, and removes it."""

    def __init__(self, name):  # pylint: disable=super-init-not-called
        self.name = name
        self.path = f"/run/netns/{name}"
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.stat(self.path).st_ino

    def close(self):
        os.close(self._fd)


class Lab:
    """`kubectl` is given YAML or JSON on its standard input where it reads -f -."""

    def __init__(self, *flags):
        self.dir = f"/var/lib/kubelab/{PREFIX}lab"
        sh(KUBELAB, "up", "--dir", self.dir, *flags)
        said = sh(KUBELAB, "status", "--dir", self.dir)
        self.namespace = LabNamespace(re.search(r"netns (\S+?),", said).group(1))
        self.pids = {name: int(pid) for name, pid in re.findall(r"^  ([\w-]+): (\d+)$", said, re.M)}
        self.admin = f"{self.dir}/admin.kubeconfig"

    def argv(self, *command):
        return [KUBELAB, "exec", "--dir", self.dir, "--", *command]

    def kubectl(self, *args, text=None):
        return sh(*self.argv("kubectl", *args), input=text)

    def helm(self, *args):
        sh(KUBELAB, "helm")
        return sh(*self.argv("helm", *args))

    def pins(self):
        """The agent's in the node's BPF file system."""
        return sh("nsenter", "-t", str(self.pids["containerd"]), "--mount", "find", "/sys/fs/bpf", "-path", "*/cortexflow*").split()

    def apply(self, *documents):
        """Creates or changes them."""
        return self.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)}))

    def load(self, *archives):
        """Container images, for the node."""
        sh(KUBELAB, "load", "--dir", self.dir, *archives)

    def signal_server(self, number):
        os.kill(self.pids["apiserver"], number)

    def agent(self, place, *flags, kubeconfig=None, cgroup_root=CGROUP):
        """An agent that reaches the API server; its metrics are in the lab's namespace."""
        return LabAgent(self, "--kubeconfig", kubeconfig or self.admin, *flags, place=place, cgroup_root=cgroup_root)

    def kubeconfig(self, place, name, server=None, user=None):
        """The administrator's, with another server or user."""
        with open(self.admin, encoding="utf-8") as file:
            config = json.load(file)
        if server:
            config["clusters"][0]["cluster"] = {"server": server}
        if user:
            config["users"][0]["user"] = user
        return place.path(name, json.dumps(config))

    def close(self):
        self.signal_server(signal.SIGCONT)
        self.namespace.close()
        subprocess.run([KUBELAB, "down", "--dir", self.dir], check=True)
        subprocess.run(["rm", "-rf", self.dir], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class LabAgent(Agent):
    def __init__(self, lab, *flags, place, cgroup_root):
        self._lab = lab
        super().__init__(*flags, place=place, cgroup_root=cgroup_root, prefix=("nsenter", f"--net={lab.namespace.path}"))

    def metrics(self):
        with self._lab.namespace.entered():
            return super().metrics()

    def ready(self):
        with self._lab.namespace.entered():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.place.metrics_port}/readyz", timeout=5):
                    return True
            except urllib.error.HTTPError as error:
                assert error.code == 503, error
                return False

    def kubernetes(self):
        """What `cfcli status` says of the API server."""
        return next(one for one in self.status()["functions"] if one["name"] == "kubernetes")


def free_port_in(namespace):
    with namespace.socket(kind=socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
