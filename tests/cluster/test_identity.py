# SPDX-License-Identifier: Apache-2.0
"""Service accounts' tokens of a real API server, shown to cfidentity over HTTPS."""

import json
import os
import subprocess
import time
import types

from agent import CFCLI, wait_until
from authority import DOMAIN, Authority
from harness import test
from lab import Lab, free_port_in

CART = f"spiffe://{DOMAIN}/ns/shop/sa/cart"
REQUEST = "/api/v1/namespaces/shop/serviceaccounts/{}/token"


def setup(stack):
    env = types.SimpleNamespace(lab=stack.enter_context(Lab()))
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    env.lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
                  *({**account, "metadata": {"name": name, "namespace": "shop"}} for name in ("cart", "web", "cfidentity", "nobody")),
                  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cfidentity-reviews-tokens"},
                   "rules": [{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}]},
                  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "cfidentity-reviews-tokens"},
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cfidentity-reviews-tokens"},
                   "subjects": [{"kind": "ServiceAccount", "name": "cfidentity", "namespace": "shop"}]})
    env.folder = f"{env.lab.dir}/identity-test"
    os.mkdir(env.folder)
    env.port = free_port_in(env.lab.namespace)
    env.own = token(env, "cfidentity", "https://kubernetes.default.svc", seconds=3600)
    env.kubeconfig = kubeconfig(env, "cfidentity", env.own)
    env.ca = stack.enter_context(authority(env, env.kubeconfig, env.port))
    env.bundle = env.ca.path("roots.pem")
    assert env.ca.cli("bundle", "--out", env.bundle).returncode == 0
    return env


def authority(env, config, port):
    """In the lab's network namespace, beside the API server."""
    with env.lab.namespace.entered():
        return Authority(beside=[f"listen: 127.0.0.1:{port}", "listen_dns_names: [localhost]",
                                 f"token_review: {{kubeconfig: {config}, dns_names: ['{{service_account}}.{{namespace}}.svc']}}"])


def token(env, account, *audiences, seconds=600, bound_to=None):
    spec = {"audiences": list(audiences), "expirationSeconds": seconds}
    if bound_to:
        spec["boundObjectRef"] = bound_to
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return json.loads(env.lab.kubectl("create", "--raw", REQUEST.format(account), "-f", "-", text=json.dumps(asked)))["status"]["token"]


def write(env, name, text):
    with open(f"{env.folder}/{name}", "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(text)
    return f"{env.folder}/{name}"


def kubeconfig(env, name, user_token):
    with open(env.lab.admin, encoding="utf-8") as file:
        config = json.load(file)
    config["users"][0]["user"] = {"token": user_token}
    return write(env, f"{name}.kubeconfig", json.dumps(config))


def issue(env, shown, spiffe_id=CART, port=None):
    """What cfcli says, as a process of the lab's namespace."""
    out = f"{env.folder}/{os.path.basename(spiffe_id)}"
    done = subprocess.run(["nsenter", f"--net={env.lab.namespace.path}", CFCLI, "cert", "issue", spiffe_id, "--dns", "cart.shop.svc", "--out", out,
                           "--server", f"https://localhost:{port or env.port}", "--token-file", write(env, "token", shown), "--ca", env.bundle],
                          capture_output=True, text=True, timeout=25, check=False)
    return done


@test("a service account's token for cfidentity gets the certificate of that account, and no other's", seconds=40)
def issued(env):
    done = issue(env, token(env, "cart", "cortexflow"))
    assert done.returncode == 0, done.stderr
    subprocess.run(["openssl", "verify", "-x509_strict", "-verify_hostname", "cart.shop.svc", "-CAfile", env.bundle, f"{env.folder}/cart/svid.pem"],
                   check=True, capture_output=True, timeout=10)
    done = issue(env, token(env, "web", "cortexflow"))
    assert done.returncode == 1 and "shop/web is not" in done.stderr, done.stderr


@test("a token for another audience, an altered one and one of a service account that is gone are refused", seconds=60)
def refused_tokens(env):
    done = issue(env, token(env, "cart", "vault"))
    assert done.returncode == 1 and "the token is not taken" in done.stderr, done.stderr
    good = token(env, "cart", "cortexflow")
    done = issue(env, good[:-6] + "AAAAAA")
    assert done.returncode == 1 and "the token is not taken" in done.stderr, done.stderr
    kept = token(env, "nobody", "cortexflow")
    done = issue(env, kept, f"spiffe://{DOMAIN}/ns/shop/sa/nobody")
    assert "may not have the DNS name" in done.stderr, done.stderr  # it is who it says it is
    env.lab.kubectl("delete", "serviceaccount", "-n", "shop", "nobody")
    # The API server itself remembers what it said of a token for 10 s.
    wait_until(lambda: "the token is not taken" in issue(env, kept, f"spiffe://{DOMAIN}/ns/shop/sa/nobody").stderr, 30, "the token is refused")


@test("a token that has expired is refused", seconds=120)
def expired(env):
    """The shortest that an API server gives lasts 10 min: the administrator signs one, with the server's own key, that has ended."""
    good = token(env, "cart", "cortexflow")
    done = issue(env, expire(env, good))
    assert done.returncode == 1 and "the token is not taken" in done.stderr, done.stderr
    assert issue(env, good).returncode == 0


def expire(env, shown):
    import base64

    def decoded(part):
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    def encoded(octets):
        return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()

    head, claims, _ = shown.split(".")
    claims = decoded(claims)
    claims |= {"iat": int(time.time()) - 1200, "nbf": int(time.time()) - 1200, "exp": int(time.time()) - 600}
    signed = f"{head}.{encoded(json.dumps(claims).encode())}"
    key = next(f"{env.lab.dir}/pki/{name}" for name in ("sa.key", "service-account.key") if os.path.exists(f"{env.lab.dir}/pki/{name}"))
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=signed.encode(), capture_output=True, check=True, timeout=10).stdout
    return f"{signed}.{encoded(signature)}"


@test("without the right to review tokens, cfidentity refuses all and says which right it lacks", seconds=60)
def no_right(env):
    port = free_port_in(env.lab.namespace)
    with authority(env, kubeconfig(env, "web", token(env, "web", "https://kubernetes.default.svc")), port) as ca:
        other = ca.path("roots.pem")
        assert ca.cli("bundle", "--out", other).returncode == 0
        env_bundle, env.bundle = env.bundle, other
        try:
            done = issue(env, token(env, "cart", "cortexflow"), port=port)
        finally:
            env.bundle = env_bundle
        assert done.returncode == 1 and "create tokenreviews" in done.stderr, done.stderr
