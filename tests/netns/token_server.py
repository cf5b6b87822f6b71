# SPDX-License-Identifier: Apache-2.0
"""An API server's TokenReview alone, over plain HTTP, that answers what a test tells it to."""

import http.server
import json
import threading
import time

AUDIENCE = "cortexflow"


def review(user="system:serviceaccount:shop:cart", audiences=(AUDIENCE,), authenticated=True, error=""):
    status = {"authenticated": authenticated}
    if authenticated:
        status |= {"user": {"username": user}, "audiences": list(audiences)}
    if error:
        status["error"] = error
    return 201, json.dumps({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status}).encode()


class TokenServer:
    """`answers` maps a token to (status, body), or to a function that makes one; other tokens are not known."""

    def __init__(self):
        self.answers, self.asked = {}, []
        self.gate = threading.Event()  # closed, it answers nobody
        self.gate.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.serve(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # who asked has hung up

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def kubeconfig(self):
        port = self._server.server_address[1]
        return json.dumps({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                           "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                           "users": [{"name": "u", "user": {"token": "own"}}]})

    def serve(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        self.asked.append((handler.path, handler.headers["Authorization"], body))
        self.gate.wait(30)
        answer = self.answers.get(body["spec"]["token"], review(authenticated=False, error="invalid bearer token"))
        status, octets = answer() if callable(answer) else answer
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(octets)))
        handler.end_headers()
        try:
            handler.wfile.write(octets)
        except OSError:
            pass  # who asked has hung up

    def wait_for_asked(self, count, timeout=10):
        end = time.monotonic() + timeout
        while len(self.asked) < count:
            assert time.monotonic() < end, f"asked {len(self.asked)} times, not {count}"
            time.sleep(0.02)

    def close(self):
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
