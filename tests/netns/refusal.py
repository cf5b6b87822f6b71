# SPDX-License-Identifier: Apache-2.0
"""How the agent has to say no."""

import re


def refused(done, *words, status=1):
    """It ended with that status and one sentence on standard error that has all the words."""
    assert done.returncode == status, f"exit {done.returncode}, expected {status}: {done.stderr}{done.stdout}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    missing = [word for word in words if not re.search(word, done.stderr, re.IGNORECASE)]
    assert not missing, f"{missing} not in {done.stderr!r}"
    assert len(lines) == 1, f"more than one line: {done.stderr!r}"
