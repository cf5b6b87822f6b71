# SPDX-License-Identifier: Apache-2.0
"""An authority from a mounted secret, as cert-manager fills it and a kubelet swaps it: tls.crt, tls.key, ca.crt."""

import os
import subprocess
import types

from agent import wait_until
from authority import DOMAIN, Authority
from harness import test
from refusal import refused
from test_identity import openssl

WEB = f"spiffe://{DOMAIN}/ns/shop/sa/web"
USAGES = "digitalSignature,keyEncipherment,keyCertSign,cRLSign"  # cert-manager's, and cRLSign
LOOKED_AT = 15  # seconds in which a change is taken up, at the very most


class Secret:
    """A secret's volume: files are links through ..data to a directory, which is replaced as a whole."""

    def __init__(self, folder):
        self.folder, self.version = folder, 0
        os.mkdir(folder)
        for name in ("tls.crt", "tls.key", "ca.crt"):
            os.symlink(f"..data/{name}", f"{folder}/{name}")

    def put(self, **files):
        self.version += 1
        into = f"{self.folder}/..{self.version}"
        os.mkdir(into)
        for name, source in files.items():
            with open(source, "rb") as file, open(f"{into}/{name.replace('_', '.')}", "wb", opener=lambda p, f: os.open(p, f, 0o400)) as copy:
                copy.write(file.read())
        os.symlink(f"..{self.version}", f"{self.folder}/..new")
        os.rename(f"{self.folder}/..new", f"{self.folder}/..data")


class Issuer:
    """A root, and intermediates of it."""

    def __init__(self, folder, name):
        self.base, self.name, self.count = f"{folder}/{name}", name, 0
        # cert-manager's own root has no cRLSign.
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{self.base}.key", "-out", f"{self.base}.crt",
                "-subj", f"/CN={name}", "-days", "30", "-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign")

    def intermediate(self, usages=USAGES):
        self.count += 1
        base = f"{self.base}-{self.count}"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{base}.key")  # "EC PRIVATE KEY", as cert-manager writes it
        openssl("req", "-new", "-key", f"{base}.key", "-out", f"{base}.csr", "-subj", f"/CN={self.name} {self.count}")
        with open(f"{base}.ext", "w", encoding="ascii") as file:
            file.write(f"basicConstraints=critical,CA:TRUE\nkeyUsage=critical,{usages}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n")
        openssl("x509", "-req", "-in", f"{base}.csr", "-CA", f"{self.base}.crt", "-CAkey", f"{self.base}.key", "-out", f"{base}.crt", "-days", "20", "-extfile", f"{base}.ext")
        return {"tls_crt": f"{base}.crt", "tls_key": f"{base}.key", "ca_crt": f"{self.base}.crt"}


def setup(stack):
    env = types.SimpleNamespace(place=stack.enter_context(Authority(start=False)))
    env.folder = env.place.path("issuers")
    os.mkdir(env.folder)
    env.first, env.second = Issuer(env.folder, "first"), Issuer(env.folder, "second")
    env.secret = Secret(env.place.path("secret"))
    env.now = env.first.intermediate()
    env.secret.put(**env.now)
    env.lines = [f"certificate: {env.secret.folder}/tls.crt", f"key: {env.secret.folder}/tls.key", f"roots: {env.secret.folder}/ca.crt"]
    env.ca = stack.enter_context(Authority(env.lines, passphrase=False))
    return env


def issue(env, name):
    return env.ca.json("issue", WEB, "--out", env.ca.path(name)) | {"folder": env.ca.path(name)}


def issuer(env):
    return env.ca.json("bundle")["issuer"]


def holds(bundle, folder):
    """By openssl, which finds the intermediate beside the leaf."""
    openssl("verify", "-CAfile", bundle, "-untrusted", f"{folder}/svid.pem", f"{folder}/svid.pem")


@test("a secret's tls.crt, tls.key and ca.crt are an authority, the root from ca.crt; openssl vouches for what comes out")
def from_secret(env):
    holds(f"{env.first.base}.crt", issue(env, "plain")["folder"])
    assert [row["role"] for row in env.ca.json("bundle")["roots"]] == ["active"]


@test("a secret that is renewed is taken up without a restart; certificates of before hold, and are still revoked by their issuer", seconds=60)
def renewed(env):
    before, old = issue(env, "before"), issuer(env)
    env.secret.put(**env.first.intermediate())
    wait_until(lambda: issuer(env) != old, LOOKED_AT, "the new one is taken up")
    after = issue(env, "after")
    assert after["issuer"] != before["issuer"]
    for folder in (before["folder"], after["folder"]):
        holds(f"{env.first.base}.crt", folder)
        assert env.ca.cli("verify", f"{folder}/svid.pem").returncode == 0
    env.ca.json("revoke", before["serial"])
    crl = env.ca.curl(f"/v1/crl?issuer={old}", text=False).stdout
    said = openssl("crl", "-inform", "DER", "-noout", "-text", given=crl)
    assert before["serial"].upper() in said.upper(), said


@test("a secret with another root: the old root stays in the bundle, also over a restart, as long as its certificates stand", seconds=60)
def another_root(env):
    before, old = issue(env, "old-root"), issuer(env)
    env.secret.put(**env.second.intermediate())
    wait_until(lambda: issuer(env) != old, LOOKED_AT, "the new one is taken up")
    after = issue(env, "new-root")
    for _ in range(2):
        bundle = env.ca.path("both.pem")
        assert env.ca.cli("bundle", "--out", bundle).returncode == 0
        for folder in (before["folder"], after["folder"]):
            holds(bundle, folder)
            assert env.ca.cli("verify", f"{folder}/svid.pem").returncode == 0
        assert env.ca.stop() == 0
        env.ca.start()


@test("torn and unusable secrets are refused in the log, once, and the authority before goes on", seconds=120)
def torn(env):
    good, odd = env.second.intermediate(), env.second.intermediate()
    current = issuer(env)
    rows = (("of another's key", {**good, "tls_key": odd["tls_key"]}, "key is not the one in its certificate"),
            ("without its root", {**good, "ca_crt": f"{env.first.base}.crt"}, "no root"),
            ("that may not sign lists", env.second.intermediate(usages="digitalSignature,keyCertSign"), "usages: [[]cert sign, crl sign[]]"),
            ("empty", {**good, "tls_crt": os.devnull}, "no certificate"))
    for number, (sentence, files, words) in enumerate(rows, 1):
        env.secret.put(**files)
        wait_until(lambda: env.ca.log().count("are not used") == number, LOOKED_AT, f"a secret {sentence} is refused")
        line = [one for one in env.ca.log().splitlines() if "are not used" in one][-1]
        assert words.replace("[[]", "[").replace("[]]", "]") in line, (sentence, line)
        assert issuer(env) == current, sentence
        assert issue(env, f"torn-{number}")["issuer"] == current
    env.secret.put(**good)
    wait_until(lambda: issuer(env) != current, LOOKED_AT, "a good one is taken up")
    assert env.ca.log().count("are not used") == len(rows)


@test("a key that others may read is refused at the start with what to do; rotate-root says that files are read again")
def refusals(env):
    refused(env.ca.cli("rotate-root", "prepare"), "given in files", "read again")
    with Authority(start=False) as other:
        key = f"{env.folder}/open.key"
        with open(env.now["tls_key"], "rb") as file, open(key, "wb") as copy:
            copy.write(file.read())
        os.chmod(key, 0o644)
        other.has_passphrase = False
        other.settings([env.lines[0], f"key: {key}", env.lines[2]])
        refused(subprocess.run(other.argv(), capture_output=True, text=True, timeout=10, check=False), "chmod 600")
