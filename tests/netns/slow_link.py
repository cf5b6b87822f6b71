# SPDX-License-Identifier: Apache-2.0
"""A link between two namespaces whose packets really take their time: two tun devices, and a thread between them."""

import collections
import fcntl
import os
import select
import struct
import threading
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000


class SlowLink:
    """`left` and `right` get an address each; a packet is handed over `seconds` after it was sent, either way."""

    def __init__(self, left, right, left_address, right_address, seconds, name="slow0"):
        self._seconds = seconds
        self._fds = []
        for namespace, address in ((left, left_address), (right, right_address)):
            with namespace.entered():
                fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
            self._fds.append(fd)
            namespace.ip("address", "add", address, "dev", name)
            namespace.ip("link", "set", name, "up")
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def _relay(self):
        waiting = collections.deque()  # (when, to, packet), in their order
        other = dict(zip(self._fds, reversed(self._fds)))
        while True:
            left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            ready, _, _ = select.select([*self._fds, self._stop], [], [], left)
            if self._stop in ready:
                return
            for fd in ready:
                waiting.append((time.monotonic() + self._seconds, other[fd], os.read(fd, 65536)))
            while waiting and waiting[0][0] <= time.monotonic():
                _, to, packet = waiting.popleft()
                os.write(to, packet)

    def close(self):
        os.write(self._stopped, b"x")
        self._thread.join(5)
        for fd in (*self._fds, self._stop, self._stopped):
            os.close(fd)
