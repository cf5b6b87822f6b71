# SPDX-License-Identifier: Apache-2.0
"""cfidentity and cfcli cert, judged by openssl, certtool and curl."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import stat
import subprocess

from agent import CFCLI, free_port, wait_until
from authority import CART_UID, DOMAIN, Authority
from harness import test
from refusal import refused

CART = f"spiffe://{DOMAIN}/ns/shop/sa/cart"
WEB = f"spiffe://{DOMAIN}/ns/shop/sa/web"


def setup(stack):
    return stack.enter_context(Authority())


def openssl(*args, status=0, given=None):
    done = subprocess.run(["openssl", *args], capture_output=True, input=given, timeout=15, check=False)
    assert (done.returncode == 0) == (status == 0), f"openssl {' '.join(args)}: {done.stdout}{done.stderr}"
    return (done.stdout + done.stderr).decode()


def issued(ca, name, spiffe_id=WEB, *flags):
    """The folder with svid.pem and bundle.pem, and what cfcli said of them."""
    folder = ca.path(name)
    return folder, ca.json("issue", spiffe_id, "--out", folder, *flags)


def csr(ca, name, *names):
    """A request of openssl's for these alternative names."""
    key, request = ca.path(f"{name}.key"), ca.path(f"{name}.csr")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
            "-subj", "/CN=ignored", "-addext", "subjectAltName=" + ",".join(names))
    with open(request, encoding="ascii") as file:
        return file.read()


@test("an issued certificate is verified by openssl and by GnuTLS, with key, DNS name and mode as asked for")
def verified(ca):
    for key_type in ("ec-p256", "ec-p384", "rsa-2048"):
        folder, document = issued(ca, f"verified-{key_type}", WEB, "--dns", "web.shop.svc", "--key-type", key_type)
        svid, bundle = f"{folder}/svid.pem", f"{folder}/bundle.pem"
        assert stat.S_IMODE(os.stat(svid).st_mode) == 0o600
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "web.shop.svc", "-CAfile", bundle, svid)
        openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", bundle, svid)
        with open(svid, "rb") as file:
            leaf = file.read()
        leaf = leaf[leaf.index(b"-----BEGIN CERT"):]
        done = subprocess.run(["certtool", "--verify", "--load-ca-certificate", bundle], input=leaf, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        text = openssl("x509", "-in", svid, "-noout", "-text")
        assert f"URI:{WEB}, DNS:web.shop.svc" in text and "CA:FALSE" in text, text
        assert openssl("x509", "-in", svid, "-noout", "-serial").strip().split("=")[1].lower() == document["serial"]
        assert openssl("pkey", "-in", svid, "-pubout") == openssl("x509", "-in", svid, "-noout", "-pubkey")
        assert ca.cli("verify", svid).stdout.startswith(f"valid: {WEB}")


@test("two workloads with issued certificates speak TLS 1.3 with each other; one without is not let in")
def mutual_tls(ca):
    server, _ = issued(ca, "tls-server", CART)
    client, _ = issued(ca, "tls-client")
    port = free_port()
    serving = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", f"{server}/svid.pem", "-key",
                                f"{server}/svid.pem", "-CAfile", f"{server}/bundle.pem", "-Verify", "2", "-verify_return_error",
                                "-tls1_3", "-rev"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connect = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", f"{client}/bundle.pem", "-verify_return_error"]

        def say(*flags):
            return subprocess.run([*connect, *flags], input=b"stressed\nCLOSE\n", capture_output=True, timeout=10, check=False).stdout

        own = ("-cert", f"{client}/svid.pem", "-key", f"{client}/svid.pem")
        wait_until(lambda: b"TLSv1.3" in say(*own), 10, "the server listens")
        answer = say(*own, "-ign_eof")
        assert b"desserts" in answer and b"Verify return code: 0" in answer, answer
        assert b"desserts" not in say("-ign_eof")
    finally:
        serving.kill()
        serving.wait()


@test("a revoked certificate is on the next list and delta, which openssl checks; it verifies no more")
def revocation(ca):
    folder, document = issued(ca, "revoked")
    svid, bundle, full, delta = f"{folder}/svid.pem", f"{folder}/bundle.pem", ca.path("full.crl"), ca.path("delta.crl")

    def fetch(query, to):
        der = ca.curl("/v1/crl" + query, text=False).stdout
        with open(to, "wb") as file:
            file.write(der)
        shown = openssl("crl", "-inform", "DER", "-in", to, "-noout", "-text", "-CAfile", bundle)
        assert "verify OK" in shown, shown
        openssl("crl", "-inform", "DER", "-in", to, "-out", to + ".pem")
        return shown, int(re.search(r"CRL Number: *\n *(\d+)", shown)[1])

    before, number = fetch("", full)
    assert document["serial"].upper() not in before
    openssl("verify", "-CAfile", bundle, "-CRLfile", full + ".pem", "-crl_check", svid)
    done = ca.json("revoke", document["serial"], "--reason", "keyCompromise")
    assert done["certificates"][0]["state"] == "revoked"
    after, later = fetch("", full)
    assert later > number and document["serial"].upper() in after and "Key Compromise" in after, after
    changes, same = fetch("?delta=true", delta)
    assert same == later and document["serial"].upper() in changes and "Delta CRL Indicator: critical" in changes, changes
    assert "revoked" in openssl("verify", "-CAfile", bundle, "-CRLfile", full + ".pem", "-crl_check", svid, status=2)
    refused(ca.cli("verify", svid), "revoked")


@test("a certificate names where its issuer's list and delta are; openssl fetches the list there, and refuses a revoked one")
def distribution_point(ca):
    folder, document = issued(ca, "distributed")
    svid, bundle = f"{folder}/svid.pem", f"{folder}/bundle.pem"
    text = openssl("x509", "-in", svid, "-noout", "-text")
    place, delta = re.findall(r"URI:(http://\S+)", text)
    assert place.startswith(ca.crl_url()) and delta == place.replace(".crl", "-delta.crl"), text
    openssl("verify", "-CAfile", bundle, "-crl_check", "-crl_download", svid)
    ca.json("revoke", document["serial"])
    assert "revoked" in openssl("verify", "-CAfile", bundle, "-crl_check", "-crl_download", svid, status=2)
    for url, status in ((place, b"200"), (delta, b"200"), (place.replace(".crl", "0.crl"), b"404"), (ca.crl_url() + "/", b"404")):
        done = subprocess.run(["curl", "-sS", "-o", ca.path("list"), "-w", "%{http_code} %{content_type}", url], capture_output=True, timeout=10, check=True)
        assert done.stdout.startswith(status) and (status != b"200" or b"application/pkix-crl" in done.stdout), (url, done.stdout)
    scraped = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{ca.metrics_port}/metrics"], capture_output=True, text=True, timeout=10, check=True).stdout
    assert re.search(r'cortexflow_certificate_list_number{role="active"} [1-9]', scraped), scraped
    assert re.search(r'cortexflow_certificate_list_requests_total{result="not_found"} 1', scraped), scraped


@test("slow readers of the distribution point keep nobody out for ever: more than are served and wait are hung up on")
def busy_distribution_point(ca):
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", ca.crl_port), timeout=10)) for _ in range(8 + 128 + 20)]

        def hung_up():
            ready, _, _ = select.select(peers, [], [], 0)
            return len(ready) >= 20

        wait_until(hung_up, 10, "some are hung up on")
    wait_until(lambda: subprocess.run(["curl", "-sS", f"{ca.crl_url()}/"], capture_output=True, timeout=10, check=False).returncode == 0, 20,
               "it answers again")


@test("a workload gets its own identity and the DNS names that are its, by its user id; and no other")
def own_identity(ca):
    for sentence, names, status in (("its own", [f"URI:{CART}", "DNS:cart.shop.svc"], 200),
                                    ("a wildcard's", [f"URI:{CART}", "DNS:a.cart.shop.svc"], 200),
                                    ("another's", [f"URI:{WEB}"], 403),
                                    ("another's DNS name", [f"URI:{CART}", "DNS:web.shop.svc"], 403),
                                    ("another domain's", ["URI:spiffe://other.org/ns/shop/sa/cart"], 403),
                                    ("two identities", [f"URI:{CART}", f"URI:{WEB}"], 400),
                                    ("no SPIFFE ID", ["DNS:cart.shop.svc"], 400)):
        code, answer = ca.post("/v1/certificates", {"csr": csr(ca, "own", *names)}, uid=CART_UID)
        assert (code == 0) == (status == 200), f"{sentence}: {answer}"
        assert status == 200 or answer["error"]["message"], sentence
    code, answer = ca.post("/v1/certificates", {"csr": csr(ca, "stranger", f"URI:{CART}")}, uid=CART_UID + 1)
    assert code != 0 and str(CART_UID + 1) in answer["error"]["message"], answer
    _, document = issued(ca, "not-theirs")
    assert ca.post("/v1/revocations", {"serial": document["serial"]}, uid=CART_UID)[0] != 0
    assert {row["spiffe_id"] for row in ca.json("list", uid=CART_UID)["certificates"]} == {CART}
    assert ca.json("list", uid=CART_UID + 1)["certificates"] == []
    refused(ca.cli("rotate-root", "prepare", uid=CART_UID), "root")


@test("a cgroup is an identity too, with what is below it; a change of the mapping holds after SIGHUP")
def by_cgroup(ca):
    with open("/proc/self/cgroup", encoding="ascii") as file:
        own = next(line[3:].strip() for line in file if line.startswith("0::"))
    request = {"csr": csr(ca, "cgroup", f"URI:{WEB}")}
    assert ca.post("/v1/certificates", request, uid=CART_UID + 2)[0] != 0
    with Authority() as other:
        other.settings(workloads=[f"{{spiffe_id: '{WEB}', cgroup: {own}}}"])
        other.process.send_signal(signal.SIGHUP)
        wait_until(lambda: other.post("/v1/certificates", request, uid=CART_UID + 2)[0] == 0, 10, "the mapping is read again")


@test("cert rotate replaces key and certificate in one file, and revokes the old one when asked")
def rotated(ca):
    folder, old = issued(ca, "rotated", WEB, "--dns", "web.shop.svc")
    with open(f"{folder}/svid.pem", encoding="ascii") as file:
        before = file.read()
    new = ca.json("rotate", folder, "--revoke-old")
    with open(f"{folder}/svid.pem", encoding="ascii") as file:
        assert before.split("-----END")[0] not in file.read(), "the key stayed"
    assert new["spiffe_id"] == WEB and new["serial"] != old["serial"]
    openssl("verify", "-verify_hostname", "web.shop.svc", "-CAfile", f"{folder}/bundle.pem", f"{folder}/svid.pem")
    states = {row["serial"]: row["state"] for row in ca.json("list")["certificates"]}
    assert states[old["serial"]] == "revoked" and states[new["serial"]] == "valid"


@test("a root is replaced in two steps; certificates of both are good with the bundle of either step, and over a restart", seconds=40)
def root_rotation(_):
    with Authority() as ca:
        first, _ = issued(ca, "first")
        prepared = ca.json("rotate-root", "prepare")
        assert [row["role"] for row in prepared["roots"]] == ["active", "prepared"]
        bundle = ca.path("both.pem")
        assert ca.cli("bundle", "--out", bundle).returncode == 0
        ca.json("rotate-root", "activate")
        refused(ca.cli("rotate-root", "activate"), "prepare")
        assert ca.stop() == 0
        ca.start()
        second, _ = issued(ca, "second")
        for folder in (first, second):
            openssl("verify", "-CAfile", bundle, f"{folder}/svid.pem")
            openssl("verify", "-CAfile", f"{second}/bundle.pem", f"{folder}/svid.pem")
        openssl("verify", "-CAfile", f"{first}/bundle.pem", f"{second}/svid.pem", status=2)
        old = openssl("x509", "-in", f"{first}/svid.pem", "-noout", "-ext", "authorityKeyIdentifier")
        issuer = old.split("\n")[1].strip().replace(":", "").lower()
        assert ca.curl(f"/v1/crl?issuer={issuer}", text=False).stdout[:1] == b"\x30"


@test("what was issued and revoked is known after kill -9; the key on disk is sealed, and opens with its passphrase alone", seconds=40)
def killed(_):
    with Authority() as ca:
        _, kept = issued(ca, "kept")
        folder, revoked = issued(ca, "gone")
        ca.json("revoke", revoked["serial"])
        ca.stop(signal.SIGKILL)
        ca.start()
        states = {row["serial"]: row["state"] for row in ca.json("list")["certificates"]}
        assert states == {kept["serial"]: "valid", revoked["serial"]: "revoked"}
        refused(ca.cli("verify", f"{folder}/svid.pem"), "revoked")
        with open(ca.path("state/authorities.json"), encoding="ascii") as file:
            sealed = json.load(file)["authorities"][0]["sealed_key"]
        openssl("pkey", "-noout", "-passin", "pass:a passphrase of the tests", given=sealed.encode())
        openssl("pkey", "-noout", "-passin", "pass:another passphrase", given=sealed.encode(), status=1)
        ca.stop()
        with open(ca.path("passphrase"), "w", encoding="ascii") as file:
            file.write("another passphrase\n")
        done = subprocess.run(ca.argv(), capture_output=True, text=True, timeout=10, check=False)
        refused(done, "authorities.json", "passphrase")
        os.chmod(ca.path("passphrase"), 0o644)
        refused(subprocess.run(ca.argv(), capture_output=True, text=True, timeout=10, check=False), "chmod 600")


@test("an intermediate from files issues under its root: openssl's own authority vouches for what comes out", seconds=40)
def given_intermediate(ca):
    here = ca.path("given")
    os.mkdir(here)
    extensions = "basicConstraints=critical,CA:TRUE{}\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n"
    with open(f"{here}/ext", "w", encoding="ascii") as file:
        file.write(extensions.format(",pathlen:0"))
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes")
    openssl("req", "-x509", *ec, "-keyout", f"{here}/root.key", "-out", f"{here}/root.pem", "-subj", "/CN=root", "-days", "30",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", "-new", *ec, "-keyout", f"{here}/ca.key", "-out", f"{here}/ca.csr", "-subj", "/CN=intermediate")
    openssl("x509", "-req", "-in", f"{here}/ca.csr", "-CA", f"{here}/root.pem", "-CAkey", f"{here}/root.key", "-out", f"{here}/ca.pem",
            "-days", "20", "-extfile", f"{here}/ext")
    with open(f"{here}/chain.pem", "wb") as chain:
        for name in ("ca.pem", "root.pem"):
            with open(f"{here}/{name}", "rb") as file:
                chain.write(file.read())
    os.chmod(f"{here}/ca.key", 0o600)
    with Authority([f"certificate: {here}/chain.pem", f"key: {here}/ca.key"]) as given:
        folder, _ = issued(given, "leaf")
        openssl("verify", "-x509_strict", "-CAfile", f"{here}/root.pem", "-untrusted", f"{folder}/svid.pem", f"{folder}/svid.pem")
        with open(f"{folder}/svid.pem", encoding="ascii") as file:
            assert file.read().count("BEGIN CERTIFICATE") == 2
        refused(given.cli("rotate-root", "prepare"), "files", "read again")


@test("bad requests are refused in words, and nothing stands in the ledger of them")
def bad_requests(ca):
    before = len(ca.json("list")["certificates"])
    for path, body in (("/v1/certificates", {}), ("/v1/certificates", {"csr": "x"}), ("/v1/certificates", {"csr": 5}),
                       ("/v1/certificates", {"csr": csr(ca, "bad", f"URI:{WEB}"), "lifetime_seconds": 60}),
                       ("/v1/certificates", {"csr": csr(ca, "bad", f"URI:{WEB}"), "lifetime_seconds": 10**12}),
                       ("/v1/revocations", {"serial": "zz"}), ("/v1/revocations", {"serial": "0123"}),
                       ("/v1/revocations", {"serial": "01", "reason": "mood"}), ("/v1/rotation", {"step": "back"}),
                       ("/v1/verification", {"chain": 1}), ("/v1/none", {})):
        code, answer = ca.post(path, body)
        assert code != 0 and answer["error"]["message"], (path, answer)
    assert len(ca.json("list")["certificates"]) == before
    for flags in (("issue",), ("issue", WEB), ("list", "--state", "odd"), ("revoke",), ("rotate-root", "back")):
        assert ca.cli(*flags).returncode == 2, flags
    done = subprocess.run([CFCLI, "cert", "--identity-socket", ca.path("none.sock"), "list"], capture_output=True, text=True, check=False)
    refused(done, "no cfidentity is running", "systemctl start cfidentity")


@test("a second cfidentity on the same state is refused; SIGTERM ends the first with its socket")
def one_a_state(_):
    with Authority() as ca:
        refused(subprocess.run(ca.argv(), capture_output=True, text=True, timeout=10, check=False), "another certificate authority", "state_dir")
        assert ca.stop() == 0 and not os.path.exists(ca.socket)


@test("a full disk: what can't be kept is refused in words and counted, what stood stands, and all is well when there is room again", seconds=40)
def full_disk(_):
    with contextlib.ExitStack() as stack:
        ca = stack.enter_context(Authority(start=False))
        os.mkdir(ca.path("state"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "none", ca.path("state")], check=True)
        stack.callback(lambda: subprocess.run(["umount", "-l", ca.path("state")], check=True))
        ca.start()
        stack.callback(lambda: ca.process.poll() is None and ca.stop())
        _, kept = issued(ca, "kept")
        with open(ca.path("state/filler"), "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 512)
        seen = {kept["serial"]}
        for number in range(40):  # what is left of the last page
            done = ca.cli("issue", WEB, "--out", ca.path(f"full-{number}"), "-o", "json")
            if done.returncode != 0:
                break
            seen.add(json.loads(done.stdout)["serial"])
        refused(done, "No space left")
        refused(ca.cli("rotate-root", "prepare"), "No space left")
        scraped = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{ca.metrics_port}/metrics"], capture_output=True, text=True, timeout=10, check=True).stdout
        assert re.search(r'cortexflow_certificate_refusals_total{reason="ledger"} [1-9]', scraped), scraped
        assert {row["serial"]: row["state"] for row in ca.json("list")["certificates"]} == dict.fromkeys(seen, "valid")
        os.unlink(ca.path("state/filler"))
        seen.add(issued(ca, "again")[1]["serial"])
        ca.stop(signal.SIGKILL)
        ca.start()
        assert {row["serial"] for row in ca.json("list")["certificates"]} == seen
