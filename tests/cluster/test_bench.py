# SPDX-License-Identifier: Apache-2.0
"""The benches that need an API server work."""

import os
import subprocess
import sys

from agent import ROOT
from harness import test


@test("the bench of services and endpoints from an API server runs to its end", seconds=120)
def kubernetes():
    done = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "bench", "run"), "--smoke", "kubernetes"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "watch to kernel" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
