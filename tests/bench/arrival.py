# SPDX-License-Identifier: Apache-2.0
"""arrival.py SERVICE PORT TARGET-PORT ADDRESS...: through a service's address, until datagrams arrive at the one wanted.

For each number of an ADDRESS on standard input it prints when the first one came there, in seconds of CLOCK_MONOTONIC;
"ready" before each.
A new socket connects for each datagram, every 100 us.
"""

import socket
import sys
import time

service, port, target, addresses = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
backends = []
for address in addresses:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, target))
    sock.setblocking(False)
    backends.append(sock)


def came(sock):
    try:
        while True:
            sock.recv(16)
            return True
    except BlockingIOError:
        return False


print("ready", flush=True)
for line in sys.stdin:
    wanted = backends[int(line)]
    end = time.monotonic() + 20
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            try:
                caller.connect((service, port))
                caller.send(b"?")
            except OSError:
                pass  # no backend at this moment
        now = time.monotonic()
        if came(wanted):
            print(now, flush=True)
            break
        if now > end:
            sys.exit(f"nothing came to {addresses[int(line)]}")
        time.sleep(1e-4)
    time.sleep(0.01)
    while any([came(sock) for sock in backends]):
        pass
    print("ready", flush=True)
