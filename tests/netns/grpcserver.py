# SPDX-License-Identifier: Apache-2.0
"""A gRPC server with the health service: `grpcserver.py ADDRESS FOLDER`.  FOLDER/serving has the number of its status."""

import os
import sys
from concurrent import futures

import grpc


def check(request, context):
    if request not in (b"", b"\x0a\x04cart"):  # HealthCheckRequest for the server as a whole, or for "cart"
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    with open(os.path.join(sys.argv[2], "serving"), encoding="ascii") as file:
        return bytes((8, int(file.read())))  # HealthCheckResponse: field 1


server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
    "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}),))
assert server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
