# SPDX-License-Identifier: Apache-2.0
"""The SPIFFE Workload API of cfidentity, asked by gRPC's own library, its certificates judged by openssl."""

import json
import os
import signal
import subprocess
import time
import urllib.request

from agent import free_port, wait_until
from authority import CART_UID, DOMAIN, Authority, as_user
from harness import test
from test_identity import openssl

CART = f"spiffe://{DOMAIN}/ns/shop/sa/cart"
WEB = f"spiffe://{DOMAIN}/ns/shop/sa/web"
WEB_UID = CART_UID + 10
HERE = os.path.dirname(os.path.abspath(__file__))
RULES = [f"{{spiffe_id: '{CART}', uid: {CART_UID}, dns_names: [cart.shop.svc, '*.cart.shop.svc']}}", f"{{spiffe_id: '{WEB}', uid: {WEB_UID}}}"]


class Place:
    def __init__(self, stack):
        self.ca = stack.enter_context(Authority())
        map_to(self.ca, RULES)
        self.proto = self.ca.path("proto")
        os.mkdir(self.proto)
        subprocess.run(["protoc", f"--proto_path={HERE}", f"--python_out={self.proto}", "workload.proto"], check=True)
        self.stack = stack

    def call(self, uid, method="FetchX509SVID", ca=None, **environment):
        call = Call(ca or self.ca, self.proto, uid, method, environment)
        self.stack.callback(call.end)
        return call


class Call:
    """A standing call; answers() are its lines of JSON so far."""
    count = 0

    def __init__(self, ca, proto, uid, method, environment):
        Call.count += 1
        self.folder = ca.path(f"call-{Call.count}")
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o777)
        self.out = os.path.join(self.folder, "out")
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen([*as_user(uid), "/usr/bin/python3", os.path.join(HERE, "workload_client.py"), ca.workload_socket, method,
                                             self.folder], stdout=out, stderr=out, env={"PROTO": proto, **environment})

    def answers(self):
        with open(self.out, encoding="utf-8") as file:
            return [json.loads(line) for line in file.read().split("\n")[:-1]]

    def answer(self, number, seconds=15):
        wait_until(lambda: len(self.answers()) > number, seconds, f"answer {number} comes")
        return self.answers()[number]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def map_to(ca, rules):
    ca.settings(workloads=rules)
    ca.process.send_signal(signal.SIGHUP)


def setup(stack):
    return Place(stack)


def serial(folder):
    return openssl("x509", "-in", f"{folder}/svid.pem", "-noout", "-serial").strip().split("=")[1].lower()


def metrics(ca):
    with urllib.request.urlopen(f"http://127.0.0.1:{ca.metrics_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().split("\n")
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"}


@test("a workload is known by its user id and gets its SVID with key, chain and bundle; openssl vouches for it")
def fetched(place):
    answer = place.call(CART_UID).answer(0)
    assert answer["ids"] == [CART] and answer["lists"] == 1, answer
    svid, bundle = f"{answer['folder']}/svid.pem", f"{answer['folder']}/bundle.pem"
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "cart.shop.svc", "-CAfile", bundle, svid)
    openssl("verify", "-CAfile", bundle, "-CRLfile", f"{answer['folder']}/crl.pem", "-crl_check", svid)
    text = openssl("x509", "-in", svid, "-noout", "-text")
    assert f"URI:{CART}, DNS:cart.shop.svc\n" in text, text
    assert openssl("pkey", "-in", svid, "-pubout") == openssl("x509", "-in", svid, "-noout", "-pubkey")
    rows = place.ca.json("list")["certificates"]
    assert serial(answer["folder"]) in {row["serial"] for row in rows}
    bundles = place.call(WEB_UID, "FetchX509Bundles").answer(0)
    assert bundles["bundles"] == [f"spiffe://{DOMAIN}"] and bundles["lists"] == 1, bundles


@test("two workloads that the API gave their certificates speak mutual TLS with each other")
def mutual_tls(place):
    server, client = place.call(CART_UID).answer(0)["folder"], place.call(WEB_UID).answer(0)["folder"]
    port = free_port()
    serving = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", f"{server}/svid.pem", "-key", f"{server}/svid.pem",
                                "-CAfile", f"{server}/bundle.pem", "-Verify", "2", "-verify_return_error", "-tls1_3", "-rev"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def say(*flags):
            return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", f"{client}/bundle.pem", "-verify_return_error",
                                   *flags], input=b"stressed\nCLOSE\n", capture_output=True, timeout=10, check=False).stdout

        own = ("-cert", f"{client}/svid.pem", "-key", f"{client}/svid.pem")
        wait_until(lambda: b"TLSv1.3" in say(*own), 10, "the server listens")
        assert b"desserts" in say(*own, "-ign_eof")
        assert b"desserts" not in say("-ign_eof")
    finally:
        serving.kill()
        serving.wait()


@test("who has no identity, says no metadata, or asks for what is not served is told so by status")
def refusals(place):
    for sentence, call, status, word in (
            ("no identity", place.call(CART_UID + 1), "PERMISSION_DENIED", str(CART_UID + 1)),
            ("no bundles for strangers", place.call(CART_UID + 1, "FetchX509Bundles"), "PERMISSION_DENIED", "identity"),
            ("root is nobody's workload", place.call(0), "PERMISSION_DENIED", "uid 0"),
            ("no metadata", place.call(CART_UID, BARE="1"), "INVALID_ARGUMENT", "workload.spiffe.io"),
            ("JWT", place.call(CART_UID, "FetchJWTSVID"), "UNIMPLEMENTED", "X.509"),
            ("JWT bundles", place.call(CART_UID, "FetchJWTBundles"), "UNIMPLEMENTED", "X.509")):
        answer = call.answer(0)
        assert answer.get("status") == status and word in answer["message"], (sentence, answer)
    assert metrics(place.ca)['cortexflow_workload_api_refusals_total{reason="PERMISSION_DENIED"}'] >= 3


@test("a revoked SVID is replaced down the same call within a second, and all are told the new list")
def revoked(place):
    cart, web = place.call(CART_UID), place.call(WEB_UID)
    first, other = cart.answer(0)["folder"], web.answer(0)["folder"]
    number, told = len(cart.answers()), len(web.answers())
    since = time.monotonic()
    place.ca.json("revoke", serial(first), "--reason", "keyCompromise")
    second = cart.answer(number)["folder"]
    openssl("verify", "-CAfile", f"{second}/bundle.pem", "-CRLfile", f"{second}/crl.pem", "-crl_check", f"{second}/svid.pem")
    listed = web.answer(told)["folder"]
    assert time.monotonic() - since < 5, "the answers came late"  # a second, and a busy machine's programs
    assert serial(first) != serial(second) and serial(listed) == serial(other)
    assert "revoked" in openssl("verify", "-CAfile", f"{listed}/bundle.pem", "-CRLfile", f"{listed}/crl.pem", "-crl_check",
                                f"{first}/svid.pem", status=2)


@test("a prepared root is in the bundles of standing calls at once; what was issued stays, and is good with the new bundle")
def root_rotation(place):
    with Authority() as ca:
        map_to(ca, RULES)
        call, bundles = place.call(CART_UID, ca=ca), place.call(CART_UID, "FetchX509Bundles", ca=ca)
        first = call.answer(0)
        assert first["roots"] == 1 and bundles.answer(0)["lists"] == 1
        ca.json("rotate-root", "prepare")
        second = call.answer(1)
        assert second["roots"] == 2 and second["lists"] == 2 and bundles.answer(1)["lists"] == 2
        assert serial(first["folder"]) == serial(second["folder"])
        ca.json("rotate-root", "activate")
        fresh = place.call(CART_UID, ca=ca).answer(0)["folder"]
        for folder in (first["folder"], fresh):
            openssl("verify", "-CAfile", f"{second['folder']}/bundle.pem", f"{folder}/svid.pem")
        openssl("verify", "-CAfile", f"{first['folder']}/bundle.pem", f"{fresh}/svid.pem", status=2)


@test("a call gets the identities that a changed mapping gives its caller, and ends when it gives none")
def mapping(place):
    with Authority() as ca:
        map_to(ca, RULES)
        call = place.call(CART_UID, ca=ca)
        first = call.answer(0)
        map_to(ca, [*RULES, f"{{spiffe_id: '{WEB}', uid: {CART_UID}}}"])
        second = call.answer(1)
        assert second["ids"] == [CART, WEB] and serial(second["folder"]) == serial(first["folder"])
        map_to(ca, RULES)
        assert call.answer(2)["ids"] == [CART]
        map_to(ca, [RULES[1]])
        assert call.answer(3)["status"] == "PERMISSION_DENIED"


@test("metrics count connections, calls and answers, and say when the first certificate ends; the end of cfidentity ends the calls")
def figures(place):
    with Authority() as ca:
        map_to(ca, RULES)
        calls = [place.call(CART_UID, ca=ca), place.call(WEB_UID, ca=ca), place.call(WEB_UID, "FetchX509Bundles", ca=ca)]
        for call in calls:
            call.answer(0)
        seen = metrics(ca)
        assert seen["cortexflow_workload_api_connections"] == 3
        assert seen['cortexflow_workload_api_streams{method="FetchX509SVID"}'] == 2
        assert seen['cortexflow_workload_api_streams{method="FetchX509Bundles"}'] == 1
        assert seen["cortexflow_workload_api_messages_total"] == 3
        days = 'service_mesh_certificate_expiry_days{certificate="workload"}'
        wait_until(lambda: 0.99 < metrics(ca).get(days, 0) <= 1, 15, "the first end is known")
        assert 3640 < seen['service_mesh_certificate_expiry_days{certificate="active"}'] <= 3650
        calls[0].end()
        wait_until(lambda: metrics(ca)["cortexflow_workload_api_connections"] == 2, 10, "the connection is let go")
        assert ca.stop() == 0 and not os.path.exists(ca.workload_socket)
        assert calls[1].answer(1)["status"] == calls[2].answer(1)["status"] == "UNAVAILABLE"
