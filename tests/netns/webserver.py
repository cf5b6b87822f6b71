# SPDX-License-Identifier: Apache-2.0
"""A web server: `webserver.py ADDRESS NAME FOLDER [PORT]`.  GET / answers NAME, /healthz the status in FOLDER/healthz, / the one in FOLDER/status."""

import http.server
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = (sys.argv[2] + "\n").encode()
        with open(os.path.join(sys.argv[3], "healthz" if self.path == "/healthz" else "status"), encoding="ascii") as file:
            self.send_response(int(file.read()))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((sys.argv[1], int((sys.argv[4:] or ["8080"])[0])), Handler).serve_forever()
