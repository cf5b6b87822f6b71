# SPDX-License-Identifier: Apache-2.0
"""client.py ADDRESS PORT HEX: sends one UDP message from a process of its own, and prints the answer in hex.

Sends when a line comes on standard input, so that a test can let several go at once.
"""

import socket
import sys

address, port, message = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(5)
    sock.connect((address, port))
    print("ready", flush=True)
    sys.stdin.readline()
    sock.send(message)
    print(sock.recv(65535).hex())
