#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo's shop: its web servers, and a customer.

shop.py serve NAME ADDRESS [URL...]  answers with NAME and what each URL answered, which it calls first
shop.py call SECONDS URL...          calls them on and on, and says every so many seconds who was reached
"""

import collections
import http.server
import sys
import time
import urllib.request

PAUSE = 0.05


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as response:  # a connection each
        return response.read().decode().strip()


def serve(name, address, urls):
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                body, status = " ".join([name, *map(fetch, urls)]), 200
            except OSError as error:
                body, status = f"{name}: {error}", 502
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(f"{body}\n".encode())

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer((address, 8080), Page).serve_forever()


def by_service(reached):
    services = collections.defaultdict(list)
    for name, times in sorted(reached.items(), reverse=True):
        service, version = name.rsplit("-", 1)
        services[service].append(f"{version} {times}")
    return "; ".join(f"{service}: {', '.join(versions)}" for service, versions in sorted(services.items()))


def call(seconds, urls):
    while True:
        reached, failed, end = {url: collections.Counter() for url in urls}, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for url in urls:
                try:
                    reached[url].update(fetch(url).split())
                except OSError:
                    failed += 1
            time.sleep(PAUSE)
        for url in urls:
            print(f"shop      a customer of {url} reached  {by_service(reached[url])}", flush=True)
        if failed:
            print(f"shop      {failed} calls failed", flush=True)


def main():
    if sys.argv[1:2] == ["serve"] and len(sys.argv) >= 4:
        serve(sys.argv[2], sys.argv[3], sys.argv[4:])
    elif sys.argv[1:2] == ["call"] and len(sys.argv) >= 4:
        call(float(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
