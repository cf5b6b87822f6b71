# SPDX-License-Identifier: Apache-2.0
"""A client of the SPIFFE Workload API on gRPC's own library and protoc: `workload_client.py SOCKET METHOD FOLDER`.

Prints a line of JSON for each answer, and one for the status that ends the call.  The certificates of answer N are in
FOLDER/N: svid.pem with key and chain, bundle.pem, and crl.pem.  PROTO is the folder of workload_pb2.
"""

import base64
import json
import os
import sys

sys.path.insert(0, os.environ["PROTO"])

import grpc  # noqa: E402
import workload_pb2  # noqa: E402  protoc made it


def pem(kind, der):
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n"


def certificates(der):
    """Of DER certificates one after the other, each in PEM."""
    out = ""
    while der:
        octets = der[1] & 0x7f
        size = 2 + octets + int.from_bytes(der[2:2 + octets], "big")
        out += pem("CERTIFICATE", der[:size])
        der = der[size:]
    return out


def write(folder, name, text):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="ascii") as file:
        file.write(text)


def keep(folder, answer):
    write(folder, "crl.pem", "".join(pem("X509 CRL", der) for der in answer.crl))
    if isinstance(answer, workload_pb2.X509BundlesResponse):
        write(folder, "bundle.pem", "".join(certificates(der) for der in answer.bundles.values()))
        return {"bundles": list(answer.bundles), "lists": len(answer.crl)}
    first = answer.svids[0]
    write(folder, "svid.pem", pem("PRIVATE KEY", first.x509_svid_key) + certificates(first.x509_svid))
    write(folder, "bundle.pem", certificates(first.bundle))
    return {"ids": [svid.spiffe_id for svid in answer.svids], "lists": len(answer.crl), "roots": certificates(first.bundle).count("BEGIN")}


def main():
    socket, method, folder = sys.argv[1:]
    response = getattr(workload_pb2, method.replace("Fetch", "") + "Response", workload_pb2.X509SVIDResponse)
    metadata = [] if os.environ.get("BARE") else [("workload.spiffe.io", "true")]
    with grpc.insecure_channel(f"unix://{socket}") as channel:
        call = channel.unary_stream(f"/SpiffeWorkloadAPI/{method}", lambda request: request.SerializeToString(), response.FromString)
        try:
            for number, answer in enumerate(call(workload_pb2.X509SVIDRequest(), metadata=metadata)):
                print(json.dumps({"folder": f"{folder}/{number}", **keep(f"{folder}/{number}", answer)}), flush=True)
        except grpc.RpcError as error:
            print(json.dumps({"status": error.code().name, "message": error.details()}), flush=True)


main()
