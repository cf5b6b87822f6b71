# SPDX-License-Identifier: Apache-2.0
"""What stands between an agent and its API server, and does it harm when told: a proxy in the lab's namespace."""

import contextlib
import http.client
import http.server
import json
import ssl
import threading
import time


class FaultyServer:
    """HTTP in front of the lab's HTTPS.  `answer(path)` may give (status, headers, body) in the server's place."""

    def __init__(self, lab):
        self.answer = lambda path: None
        self.paths = []  # asked, in their order
        self._streams = set()
        self._lock = threading.Lock()
        pki = f"{lab.dir}/pki"
        self._tls = ssl.create_default_context(cafile=f"{pki}/ca.crt")
        self._tls.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
        self._namespace = lab.namespace
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.serve(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        with lab.namespace.entered():
            self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def serve(self, handler):
        handler.close_connection = True
        self.paths.append(handler.path)
        instead = self.answer(handler.path)
        if instead:
            status, headers, body = instead
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
            return
        with self._namespace.entered():
            upstream = http.client.HTTPSConnection("127.0.0.1", 443, context=self._tls, timeout=600)
            upstream.connect()
        with self._lock:
            self._streams.update((upstream.sock, handler.connection))
        with contextlib.suppress(OSError, http.client.HTTPException):
            upstream.request("GET", handler.path, headers={"Accept": "application/json", "User-Agent": "faulty-server"})
            response = upstream.getresponse()
            handler.send_response(response.status)
            handler.send_header("Content-Type", "application/json")
            handler.end_headers()
            while octets := response.read1(65536):
                handler.wfile.write(octets)
                handler.wfile.flush()
        upstream.close()

    def cut(self):
        """Ends all streams where they are."""
        with self._lock:
            streams, self._streams = self._streams, set()
        for stream in streams:
            with contextlib.suppress(OSError):
                stream.shutdown(2)

    @contextlib.contextmanager
    def failing(self, answer):
        """All streams are cut, and who comes is answered so."""
        self.answer = answer
        self.cut()
        try:
            yield
        finally:
            self.answer = lambda path: None

    def wait_for_asked(self, wanted, count=1, timeout=40):
        end = time.monotonic() + timeout
        seen = len(self.paths)
        while sum(wanted(path) for path in self.paths[seen:]) < count:
            assert time.monotonic() < end, f"not asked within {timeout} s: {self.paths[-5:]}"
            time.sleep(0.05)

    def close(self):
        self._server.shutdown()
        self.cut()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def status(code, reason, message):
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
    return json.dumps(body).encode()
