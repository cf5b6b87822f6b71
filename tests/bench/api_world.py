# SPDX-License-Identifier: Apache-2.0
"""A real API server (tests/cluster/kubelab) full of services, asked and watched by the plainest client there is."""

import http.client
import json
import os
import ssl
import threading
import time

from lab import Lab

SLICES = "/apis/discovery.k8s.io/v1beta1/namespaces/default/endpointslices"
PORT, TARGET_PORT = 80, 8080


def service(name):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": PORT, "protocol": "UDP"}]}}


def endpoint_slice(name, addresses):
    return {"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "http", "port": TARGET_PORT, "protocol": "UDP"}], "endpoints": [{"addresses": [one]} for one in addresses]}


class Connection:
    """One of the administrator's to the API server, kept open."""

    def __init__(self, lab, seconds=30):
        pki = os.path.join(lab.dir, "pki")
        context = ssl.create_default_context(cafile=f"{pki}/ca.crt")
        context.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
        self._connection = http.client.HTTPSConnection("127.0.0.1", 443, context=context, timeout=seconds)
        with lab.namespace.entered():
            self._connection.connect()

    def ask(self, method, path, document=None, kind="application/json"):
        body = json.dumps(document) if document is not None else None
        self._connection.request(method, path, body, {"Content-Type": kind, "User-Agent": "bench"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def move(self, name, addresses):
        return self.ask("PATCH", f"{SLICES}/{name}", {"endpoints": [{"addresses": [one]} for one in addresses]}, "application/merge-patch+json")

    def lines(self, path):
        """Those of a watch, as they come."""
        self._connection.request("GET", path, headers={"User-Agent": "bench"})
        answer = self._connection.getresponse()
        while line := answer.readline():
            yield line

    def close(self):
        self._connection.close()


class BareWatch:
    """When events of one slice come to a client that does nothing with them: resource version -> time."""

    def __init__(self, lab, name, version):
        self.came = {}
        self._changed = threading.Condition()
        path = f"{SLICES}?watch=1&fieldSelector=metadata.name%3D{name}&resourceVersion={version}"
        threading.Thread(target=self._read, args=(Connection(lab, seconds=None), path), daemon=True).start()

    def _read(self, connection, path):
        for line in connection.lines(path):
            now = time.monotonic()
            with self._changed:
                self.came[json.loads(line)["object"]["metadata"]["resourceVersion"]] = now
                self._changed.notify_all()

    def time_of(self, version):
        with self._changed:
            if not self._changed.wait_for(lambda: version in self.came, 10):
                raise RuntimeError(f"the watch did not tell of {version}")
            return self.came[version]


class ApiWorld:
    """`services` of them, each with these addresses."""

    def __init__(self, stack, services, addresses_of):
        self.lab = stack.enter_context(Lab())
        self.connection = Connection(self.lab)
        stack.callback(self.connection.close)
        failures = []

        def fill(first, step):
            try:
                connection = Connection(self.lab)
                for number in range(first, services, step):
                    connection.ask("POST", "/api/v1/namespaces/default/services", service(f"s{number}"))
                    connection.ask("POST", SLICES, endpoint_slice(f"s{number}", addresses_of(number)))
                connection.close()
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                failures.append(error)

        threads = [threading.Thread(target=fill, args=(first, 8)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def address(self, name):
        return self.connection.ask("GET", f"/api/v1/namespaces/default/services/{name}")["spec"]["clusterIP"]

    def watch(self, name):
        found = self.connection.ask("GET", f"{SLICES}/{name}")
        return BareWatch(self.lab, name, found["metadata"]["resourceVersion"])
