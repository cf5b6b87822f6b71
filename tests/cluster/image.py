# SPDX-License-Identifier: Apache-2.0
"""A container image of busybox alone, made here: there is nothing to pull it from."""

import hashlib
import io
import json
import shutil
import tarfile

APPLETS = ("sh", "sleep", "nslookup", "wget", "httpd", "cat", "nc", "mkdir", "echo")


def _add(tar, name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def busybox(path, name="localhost/busybox:test"):
    """Writes a docker archive to `path`; answers the image's name."""
    with open(shutil.which("busybox"), "rb") as file:
        program = file.read()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for directory in ("bin", "tmp", "etc", "www"):
            _add(tar, directory, type=tarfile.DIRTYPE, mode=0o777)
        _add(tar, "bin/busybox", program, mode=0o755)
        for applet in APPLETS:
            _add(tar, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
    data = layer.getvalue()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "3600"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as tar:
        for file, content in (("manifest.json", manifest), ("config.json", config), ("layer.tar", data)):
            _add(tar, file, content, mode=0o644)
    return name
