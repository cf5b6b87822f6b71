# SPDX-License-Identifier: Apache-2.0
"""cfidentity over HTTPS, for callers whose token an API server reviews; judged by curl, openssl and GnuTLS."""

import contextlib
import json
import os
import re
import select
import socket
import subprocess
import threading
import types

from agent import CFCLI, free_port, wait_until
from authority import DOMAIN, Authority
from harness import test
from refusal import refused
from token_server import AUDIENCE, TokenServer, review

CART = f"spiffe://{DOMAIN}/ns/shop/sa/cart"
WEB = f"spiffe://{DOMAIN}/ns/shop/sa/web"
SUITES = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


def setup(stack):
    env = types.SimpleNamespace(server=stack.enter_context(TokenServer()), port=free_port())
    folder = stack.enter_context(contextlib.ExitStack())
    env.kubeconfig = f"/run/cortexflow-test-{os.getpid()}.kubeconfig"
    folder.callback(lambda: os.unlink(env.kubeconfig))
    with open(env.kubeconfig, "w", encoding="ascii") as file:
        file.write(env.server.kubeconfig())
    env.ca = stack.enter_context(Authority(beside=[
        f"listen: 127.0.0.1:{env.port}", "listen_dns_names: [localhost, identity.example.org]",
        f"token_review: {{kubeconfig: {env.kubeconfig}, dns_names: ['{{service_account}}.{{namespace}}.svc']}}"]))
    env.server.answers["good"] = review()
    env.bundle = env.ca.path("roots.pem")
    assert env.ca.cli("bundle", "--out", env.bundle).returncode == 0
    env.token = write(env, "token", "good\n")
    return env


def write(env, name, text):
    with open(env.ca.path(name), "w", encoding="ascii") as file:
        file.write(text)
    return env.ca.path(name)


def cli(env, *args, token=None, host="localhost", environment=None):
    flags = [] if environment else ["--server", f"https://{host}:{env.port}", "--token-file", token or env.token, "--ca", env.bundle]
    return subprocess.run([CFCLI, "cert", *args, *flags], capture_output=True, text=True, timeout=25, check=False,
                          env={**os.environ, **(environment or {})})


def curl(env, path, *flags, token="good"):
    """Status and document."""
    show = ["-H", f"Authorization: Bearer {token}"] if token is not None else []
    done = subprocess.run(["curl", "-sS", "--cacert", env.bundle, "-w", "\n%{http_code}", *show, *flags, f"https://localhost:{env.port}{path}"],
                          capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == 0, done.stderr
    body, code = done.stdout.rsplit("\n", 1)
    return int(code), json.loads(body)


def metric(env, pattern):
    text = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{env.ca.metrics_port}/metrics"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.search(rf"^{pattern} (\S+)$", text, re.M)
    return float(found[1]) if found else 0


def csr(env, *names):
    done = subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", env.ca.path("k"),
                           "-subj", "/CN=x", "-addext", "subjectAltName=" + ",".join(names)], capture_output=True, text=True, timeout=15, check=True)
    return json.dumps({"csr": done.stdout})


@test("a service account's token gets the certificate of that account, its key stays where it was made; openssl vouches for it")
def issued(env):
    folder = env.ca.path("cart")
    done = cli(env, "issue", CART, "--dns", "cart.shop.svc", "--out", folder, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert "PRIVATE" not in done.stdout
    subprocess.run(["openssl", "verify", "-x509_strict", "-verify_hostname", "cart.shop.svc", "-CAfile", env.bundle, f"{folder}/svid.pem"],
                   check=True, capture_output=True, timeout=10)
    path, own, body = env.server.asked[-1]
    assert path == "/apis/authentication.k8s.io/v1/tokenreviews" and own == "Bearer own", (path, own)
    assert body["spec"] == {"token": "good", "audiences": [AUDIENCE]}, body
    again = cli(env, "rotate", folder, "--revoke-old", "-o", "json")
    assert again.returncode == 0, again.stderr
    rows = json.loads(cli(env, "list", "-o", "json").stdout)["certificates"]
    assert {row["spiffe_id"] for row in rows} == {CART} and {"revoked", "valid"} == {row["state"] for row in rows}, rows
    assert cli(env, "verify", f"{folder}/svid.pem").stdout.startswith(f"valid: {CART}")
    by_environment = {"CORTEXFLOW_IDENTITY_SERVER": f"https://localhost:{env.port}", "CORTEXFLOW_IDENTITY_TOKEN_FILE": env.token, "CORTEXFLOW_IDENTITY_CA": env.bundle}
    assert cli(env, "list", environment=by_environment).returncode == 0


@test("a service account has no identity, DNS name or certificate but its own, and no say over the authority")
def only_its_own(env):
    refused(cli(env, "issue", WEB, "--out", env.ca.path("w")), "shop/cart is not", WEB)
    refused(cli(env, "issue", CART, "--dns", "web.shop.svc", "--out", env.ca.path("w")), "may not have the DNS name web.shop.svc")
    other = env.ca.json("issue", WEB, "--out", env.ca.path("root-web"))
    refused(cli(env, "revoke", other["serial"]), "no certificate")
    refused(cli(env, "rotate-root", "prepare"), "there is no POST /v1/rotation")
    assert curl(env, "/v1/status")[0] == 404
    assert not os.path.exists(env.ca.path("w"))
    env.server.answers["operator"] = review(user="system:serviceaccount:shop:..")
    assert curl(env, "/v1/bundle", token="operator")[0] == 503
    assert curl(env, "/v1/bundle")[1]["trust_domain"] == DOMAIN


@test("each token that is not taken is refused with its reason and counted: none, expired, of another audience, a user's")
def refused_tokens(env):
    env.server.answers.update({"expired": review(authenticated=False, error="[invalid bearer token, service account token has expired]"),
                               "audience-blind": review(audiences=()), "other-audience": review(audiences=("vault",)),
                               "user": review(user="alice"), "node": review(user="system:node:n1"), "odd": review(user="system:serviceaccount:shop")})
    rows = (("expired", 401, "refused", "has expired"), ("unheard-of", 401, "refused", "invalid bearer token"),
            ("audience-blind", 401, "wrong_audience", AUDIENCE), ("other-audience", 401, "wrong_audience", AUDIENCE),
            ("user", 403, "no_service_account", "alice"), ("node", 403, "no_service_account", "service account"),
            ("odd", 503, "not_understood", "service account"), ("a b", 401, "refused", "no bearer token"), ("x" * 7900, 401, "refused", "invalid"))
    for token, status, result, words in rows:
        before = metric(env, rf'cortexflow_token_reviews_total{{result="{result}"}}')
        code, answer = curl(env, "/v1/certificates", "-d", csr(env, f"URI:{CART}"), token=token)
        assert code == status and words in answer["error"]["message"], (token[:20], code, answer)
        assert metric(env, rf'cortexflow_token_reviews_total{{result="{result}"}}') == before + 1, result
    for token in (None, ""):
        assert curl(env, "/v1/bundle", token=token)[0] == 401
    code, _ = curl(env, "/v1/bundle", "-H", "Authorization: Basic Z29vZA==", token=None)
    assert code == 401
    assert metric(env, r'cortexflow_identity_https_refusals_total{reason="no_token"}') >= 2


@test("a token is reviewed each time anew: one that was taken is refused from the moment the API server no longer takes it")
def replayed(env):
    env.server.answers["short"] = review()
    for _ in range(3):
        assert curl(env, "/v1/bundle", token="short")[0] == 200
    env.server.answers["short"] = review(authenticated=False, error="service account token has expired")
    assert curl(env, "/v1/bundle", token="short")[0] == 401


@test("an API server that fails, talks nonsense, says too much or is away: refused with 503, and nothing is issued", seconds=60)
def bad_api_server(env):
    before = len(env.ca.json("list")["certificates"])
    good = json.loads(review()[1])
    rows = ((500, b"oops"), (403, b"{}"), (401, b"{}"), (201, b"nonsense"), (201, b"[]"), (201, b"{}"), (201, json.dumps(good | {"status": 5}).encode()),
            (201, json.dumps(good | {"kind": "Pod"}).encode()), (201, b" " * 100_000 + review()[1]), (302, b""))
    for answer in rows:
        env.server.answers["bad"] = answer
        code, document = curl(env, "/v1/certificates", "-d", csr(env, f"URI:{CART}"), token="bad")
        assert code == 503 and "could not be reviewed" in document["error"]["message"], (answer[1][:20], code, document)
    env.server.answers["bad"] = (403, b"{}")
    refused(cli(env, "list", token=write(env, "bad", "bad")), "create tokenreviews")
    assert len(env.ca.json("list")["certificates"]) == before


@test("a slow API server holds up those who wait for it alone, and no more of them than may; then all is well again", seconds=60)
def slow_api_server(env):
    env.server.gate.clear()
    asked, codes = len(env.server.asked), []
    callers = [threading.Thread(target=lambda: codes.append(curl(env, "/v1/bundle")[0])) for _ in range(16)]
    try:
        for one in callers:
            one.start()
        env.server.wait_for_asked(asked + 16)
        code, document = curl(env, "/v1/bundle")
        assert code == 503 and "reviewed already" in document["error"]["message"], document
        assert metric(env, "cortexflow_token_reviews_in_flight") == 16
        assert curl(env, "/v1/bundle", token=None)[0] == 401
        assert env.ca.cli("list").returncode == 0
    finally:
        for one in callers:
            one.join()
        env.server.gate.set()
    assert codes == [503] * 16, codes
    wait_until(lambda: metric(env, "cortexflow_token_reviews_in_flight") == 0, 10, "none is in flight")
    assert curl(env, "/v1/bundle")[0] == 200


@test("TLS 1.2 and 1.3 with the two suites alone, by openssl and GnuTLS; the chain and the name hold")
def tls_profile(env):
    def openssl(*flags):
        return subprocess.run(["openssl", "s_client", "-connect", f"localhost:{env.port}", "-CAfile", env.bundle, "-verify_return_error",
                               "-verify_hostname", "identity.example.org", *flags], capture_output=True, text=True, input="", timeout=10, check=False)

    for suite in SUITES:
        done = openssl("-tls1_3", "-ciphersuites", suite)
        assert suite in done.stdout and "Verify return code: 0" in done.stdout, done.stdout + done.stderr
    for suite in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"):
        assert f"Cipher is {suite}" in openssl("-tls1_2", "-cipher", suite).stdout, suite
    for flags in (("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"), ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"),
                  ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"), ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")):
        done = openssl(*flags)
        assert done.returncode != 0 and "Cipher is (NONE)" in done.stdout, (flags, done.stdout)
    for priority in ("NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"):
        done = subprocess.run(["gnutls-cli", "--priority", priority, "--x509cafile", env.bundle, "--sni-hostname", "localhost", "--verify-hostname", "localhost",
                               "-p", str(env.port), "127.0.0.1"], capture_output=True, text=True, input="", timeout=10, check=False)
        assert "The certificate is trusted" in done.stdout and "Handshake was completed" in done.stdout, done.stdout + done.stderr
    with open(env.ca.path("others.pem"), "w", encoding="ascii") as file, Authority() as other:
        file.write(other.json("bundle")["bundle"])
    done = subprocess.run([CFCLI, "cert", "list", "--server", f"https://localhost:{env.port}", "--token-file", env.token, "--ca", env.ca.path("others.pem")],
                          capture_output=True, text=True, timeout=10, check=False)
    refused(done, "not vouched for")
    refused(cli(env, "list", host="127.0.0.1"), "another name", "listen_dns_names")


def presented(env):
    done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{env.port}"], capture_output=True, text=True, input="", timeout=10, check=False)
    text = subprocess.run(["openssl", "x509", "-noout", "-serial", "-ext", "subjectAltName"], capture_output=True, text=True, input=done.stdout, timeout=10, check=True).stdout
    return re.search(r"serial=(\w+)", text)[1].lower(), text


@test("the server's own certificate is of the authority, in its ledger, and replaced without a restart when it is revoked")
def own_certificate(env):
    serial, text = presented(env)
    assert f"URI:spiffe://{DOMAIN}/cfidentity" in text and "DNS:localhost, DNS:identity.example.org" in text, text
    assert presented(env)[0] == serial
    env.ca.json("revoke", serial)
    fresh, _ = presented(env)
    assert fresh != serial
    assert cli(env, "list").returncode == 0
    assert metric(env, r'cortexflow_identity_https_certificates_total{result="made"}') == 2
    assert metric(env, r'service_mesh_certificate_expiry_days{certificate="server"}') > 0.9


@test("bodies that are huge, endless, compressed or no JSON are refused in words, before they are read where nobody is shown")
def bad_bodies(env):
    huge = write(env, "huge", "x" * 3_000_000)
    code, answer = curl(env, "/v1/certificates", "-d", f"@{huge}")
    assert code == 413 and "too large" in answer["error"]["message"], (code, answer)
    large = write(env, "large", "x" * 400_000)
    assert curl(env, "/v1/certificates", "-d", f"@{large}", token=None)[0] == 401
    endless = subprocess.run(["curl", "-sS", "--cacert", env.bundle, "-H", "Authorization: Bearer good", "-H", "Transfer-Encoding: chunked", "-d", f"@{huge}",
                              "-o", env.ca.path("out"), "-w", "%{http_code}", f"https://localhost:{env.port}/v1/certificates"], capture_output=True, text=True, timeout=20, check=False)
    assert not endless.stdout.startswith("2"), endless.stdout
    for flags, status in ((("-d", "x", "-H", "Content-Encoding: gzip"), 415), (("-d", "x"), 400), (("-d", "[]"), 400), (("-X", "PUT"), 411), (("-X", "DELETE"), 411), (("-X", "PUT", "-d", "{}"), 404)):
        assert curl(env, "/v1/certificates", *flags)[0] == status, flags


@test("silent clients and those that speak no TLS hold nobody up: the oldest make way, and are counted", seconds=60)
def crowd(env):
    def count(reason):
        return metric(env, rf'cortexflow_identity_https_refusals_total{{reason="{reason}"}}')

    handshakes = count("handshake")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", env.port), timeout=10)) for _ in range(64)]
        peers[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        peers[1].sendall(b"\x16\x03\x01\x02\x00\x01")
        assert curl(env, "/v1/bundle")[0] == 200  # the oldest that are waited for make way
        wait_until(lambda: count("handshake") > handshakes, 10, "some are ended")
        wait_until(lambda: len(select.select(peers, [], [], 0)[0]) >= 32, 10, "they are hung up on")
    wait_until(lambda: metric(env, "cortexflow_identity_https_connections") == 0, 15, "they are gone")


@test("settings that can't be are refused at the start, and cfcli says what its flags lack")
def bad_settings(env):
    for beside, words in ((["listen: 127.0.0.1:1"], ("listen_dns_names",)), (["listen: 127.0.0.1:1", "listen_dns_names: ['*.x']"], ("wildcard",)),
                          (["listen: 127.0.0.1:1", "listen_dns_names: [x]", "token_review: {kubeconfig: /none}"], ("token_review.kubeconfig", "/none")),
                          (["token_review: {audience: ''}"], ("audience",)), (["token_review: {dns_names: ['{pod}.svc']}"], ("dns_names",)),
                          ([f"listen: 127.0.0.1:{env.port}", "listen_dns_names: [x]", f"token_review: {{kubeconfig: {env.kubeconfig}}}"], ("cannot listen",))):
        with Authority(beside=beside, start=False) as place:
            done = subprocess.run(place.argv(), capture_output=True, text=True, timeout=10, check=False)
        refused(done, *words, status=1 if "kubeconfig" in words[0] or "cannot" in words[0] else 2)
    for flags, words in ((("--server", "http://localhost"), ("https://HOST:PORT",)), (("--server", "https://localhost"), ("--token-file", "--ca")),
                         (("--server", "https://localhost:1", "--token-file", env.token, "--ca", env.bundle), ("cannot connect",)),
                         (("--server", "https://localhost:1", "--token-file", "/none", "--ca", env.bundle), ("/none",)),
                         (("--server", "https://localhost:1", "--token-file", env.token, "--ca", env.token), ("--ca",))):
        refused(subprocess.run([CFCLI, "cert", "list", *flags], capture_output=True, text=True, timeout=20, check=False), *words)
