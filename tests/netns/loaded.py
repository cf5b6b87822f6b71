# SPDX-License-Identifier: Apache-2.0
"""What BPF programs, maps and links a test has left in the kernel."""

import contextlib
import glob
import json
import re
import time

from isolation import CGROUP, MOUNT, PREFIX
from netns import sh


def _shown(kind):
    """bpftool's list; it gives up where an object goes while it lists, so then from the start."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return json.loads(sh("bpftool", "-j", "-f", kind, "show"))
        except RuntimeError as error:
            if "temporarily unavailable" not in str(error) or time.monotonic() > deadline:
                raise


def _objects():
    """(kind, id) -> name of all on this machine, but for those that are pinned by somebody else."""
    found = {}
    for kind in ("prog", "map", "link"):
        for row in _shown(kind):
            if all(PREFIX in path for path in row.get("pinned", [])):
                found[kind, row["id"]] = row.get("name", "")
    return found


def _held_by_others():
    """(kind, id) of what the processes outside of this run have open."""
    held = set()
    for process in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            with open(f"{process}/cgroup", encoding="utf-8") as file:
                if f"0::{CGROUP.removeprefix(MOUNT)}" in file.read():
                    continue
            for info in glob.glob(f"{process}/fdinfo/*"):
                with contextlib.suppress(OSError), open(info, encoding="utf-8") as file:
                    held |= {(kind, int(ident)) for kind, ident in re.findall(r"^(prog|map|link)_id:\t(\d+)$", file.read(), re.M)}
    return held


@contextlib.contextmanager
def nothing_left():
    """What is loaded after the block is what was loaded before it, as far as it is this run's."""
    before = _objects()
    yield
    left = _objects().keys() - before.keys()
    deadline = time.monotonic() + 5  # the kernel frees an object a moment after the last reference
    while (left := left & _objects().keys() - _held_by_others()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, {key: name for key, name in _objects().items() if key in left}
