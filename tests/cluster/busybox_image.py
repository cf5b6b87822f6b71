# SPDX-License-Identifier: Apache-2.0
"""An image with a shell and a web server, made of the machine's own busybox: there is no registry to ask."""

import hashlib
import io
import json
import subprocess
import tarfile

IMAGE = "localhost/busybox:test"
PROGRAMS = ("sh", "httpd", "hostname", "mkdir")


def _add(tar, name, octets, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(octets), mode
    tar.addfile(info, io.BytesIO(octets))


def write(path):
    """A docker archive."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        with open("/bin/busybox", "rb") as file:
            _add(tar, "bin/busybox", file.read(), 0o755)
        for name in PROGRAMS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    machine = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    config = {"architecture": machine, "os": "linux", "config": {"Env": ["PATH=/bin"]},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}
    with tarfile.open(path, "w") as tar:
        _add(tar, "layer.tar", layer.getvalue())
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]).encode())
    return path
