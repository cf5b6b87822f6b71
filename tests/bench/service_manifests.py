# SPDX-License-Identifier: Apache-2.0
"""Manifests of many services: address FIRST + i, TCP port 80, a file for each service and its endpoints."""

import ipaddress
import os

FIRST = ipaddress.IPv4Address("10.96.0.1")
PORT, TARGET_PORT = 80, 8080

SERVICE = """apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: bench}}
spec:
  type: ClusterIP
  clusterIP: {address}
  ports:
  - {{name: main, protocol: {protocol}, port: {port}, targetPort: {target}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  namespace: bench
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports:
- {{name: main, protocol: {protocol}, port: {target}}}
endpoints:
"""
ENDPOINT = """- addresses: [{address}]
  conditions: {{ready: true, serving: true, terminating: false}}
  nodeName: node-{node}
  targetRef: {{kind: Pod, name: {name}-{number}, namespace: bench}}
"""


def address_of(number):
    return str(FIRST + number)


def text(name, address, endpoints, protocol="TCP"):
    out = [SERVICE.format(name=name, address=address, protocol=protocol, port=PORT, target=TARGET_PORT)]
    out += [ENDPOINT.format(address=endpoint, node=number % 100, name=name, number=number) for number, endpoint in enumerate(endpoints)]
    return "".join(out)


def put(directory, name, content):
    """As an editor does: beside, then renamed into place."""
    path = os.path.join(directory, name)
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(content)
    os.rename(path + ".new", path)


def write_services(directory, count, endpoints_of):
    os.makedirs(directory, exist_ok=True)
    for number in range(count):
        put(directory, f"s{number}.yaml", text(f"s{number}", address_of(number), endpoints_of(number)))
