# SPDX-License-Identifier: Apache-2.0
"""The benches that need an API server work."""

import os
import subprocess
import sys

from agent import ROOT
from harness import test


@test("the bench of services and endpoints from an API server runs to its end", seconds=120)
def kubernetes():
    argv = ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, os.path.join(ROOT, "tests", "bench", "run"), "--smoke", "kubernetes"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as bench:
        try:
            said, _ = bench.communicate()
        finally:
            bench.terminate()  # where it is not done in time it takes its lab down
    assert bench.returncode == 0 and "watch to kernel" in said, said[-4000:]
