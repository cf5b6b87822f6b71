# SPDX-License-Identifier: Apache-2.0
"""A DNS server that does what a test tells it to, name by name."""

import contextlib
import socket
import struct
import threading

from dnsmsg import Query, frame


def read_exactly(conn, octets):
    data = b""
    while len(data) < octets:
        part = conn.recv(octets - len(data))
        if not part:
            return None
        data += part
    return data


def read_message(conn):
    """The next message of a TCP stream, or None at its end."""
    length = read_exactly(conn, 2)
    return read_exactly(conn, struct.unpack("!H", length)[0]) if length else None


class Server:
    """UDP and TCP on one address of a namespace.

    `on(name, script)`: script(query) answers a list of messages; (seconds, message) sends that one later.  A name
    without a script gets what `default` says: NOERROR with one record.  `tcp`, if set, is called with each accepted connection instead.
    """

    def __init__(self, ns, address="127.0.0.1", port=53, options=()):
        self.address, self.port = address, port
        self.received = []  # Query or octets that were none, in order
        self.tcp = None
        self.default = lambda query: [query.answer()]
        self._scripts = {}
        self._open = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._udp = ns.socket(family, socket.SOCK_DGRAM)
        self._listener = ns.socket(family, socket.SOCK_STREAM)
        for sock in (self._udp, self._listener):
            sock.settimeout(None)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for level, name, value in options:
                sock.setsockopt(level, name, value)
            sock.bind((address, port))
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._listener.listen(16)
        for loop in (self._udp_loop, self._tcp_loop):
            threading.Thread(target=loop, daemon=True).start()

    def on(self, name, script):
        self._scripts[name.lower()] = script
        return name

    def _replies(self, raw, transport):
        try:
            query = Query(raw, transport)
        except (IndexError, struct.error):
            self.received.append(raw)
            return []
        self.received.append(query)
        return self._scripts.get(query.name.lower(), self.default)(query)

    def _send(self, reply, send):
        delay, message = reply if isinstance(reply, tuple) else (0, reply)

        def quietly():
            with contextlib.suppress(OSError):
                send(message)

        if delay:
            timer = threading.Timer(delay, quietly)
            timer.daemon = True
            timer.start()
        else:
            quietly()

    def _udp_loop(self):
        while True:
            try:
                raw, peer = self._udp.recvfrom(65535)
            except OSError:
                return
            for reply in self._replies(raw, "udp"):
                self._send(reply, lambda message, to=peer: self._udp.sendto(message, to))

    def _tcp_loop(self):
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(conn)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with conn, contextlib.suppress(OSError):
            if self.tcp:
                self.tcp(conn)
                return
            while (raw := read_message(conn)) is not None:
                for reply in self._replies(raw, "tcp"):
                    self._send(reply, lambda message: conn.sendall(frame(message)))

    def close(self):
        for sock in (self._udp, self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
