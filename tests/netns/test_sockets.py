# SPDX-License-Identifier: Apache-2.0
"""Every way in which a program can put a query on the wire: sockets, system calls, address families, packets."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from types import SimpleNamespace

import dnsmsg
from agent import Agent, expect, wait_until
from dnsserver import Server
from harness import test
from isolation import CGROUP, MOUNT, PATIENCE, PREFIX, cgroup as cgroup_of, inside, own_cgroup
from netns import Namespace, bound_to_us, sh, veth

HERE = os.path.dirname(os.path.abspath(__file__))
PACKET_AUXDATA = 8  # linux/if_packet.h
SOL_PACKET = 263
TP_STATUS_VLAN_VALID = 1 << 4
UDP_SEGMENT = 103  # linux/udp.h


def setup(stack):
    agent = stack.enter_context(Agent())
    near = stack.enter_context(Namespace("near"))
    far = stack.enter_context(Namespace("far"))
    veth(near, far, ["10.53.0.1/24", "fd53::1/64"], ["10.53.0.2/24", "fd53::2/64"])
    server = stack.enter_context(Server(near))
    server6 = stack.enter_context(Server(near, "::1"))
    remote = stack.enter_context(Server(far, "10.53.0.2"))
    remote6 = stack.enter_context(Server(far, "fd53::2"))
    watch = stack.enter_context(agent.watch())
    return SimpleNamespace(agent=agent, near=near, far=far, server=server, server6=server6, remote=remote, remote6=remote6,
                           watch=watch)


def ask(env, label, connected=True, family=socket.AF_INET, address="127.0.0.1", ns=None, options=(), **query):
    """One query from this process; answers the lookup that the agent saw of it."""
    name = dnsmsg.unique(label)
    with (ns or env.near).socket(family) as sock:
        for level, option, value in options:
            sock.setsockopt(level, option, value)
        message = dnsmsg.query(name, **query)
        began = time.monotonic_ns()
        if connected:
            sock.connect((address, 53))
            sock.send(message)
        else:
            sock.sendto(message, (address, 53))
        port = sock.getsockname()[1]
        answer = sock.recv(65535)
        took = time.monotonic_ns() - began
    lookup = env.watch.one(name)
    assert 0 < lookup["latency_ns"] <= took, (lookup["latency_ns"], took)
    expect(lookup, outcome="answered", id=dnsmsg.ident_of(message), client_port=port, server_port=53, transport="udp",
           rcode="NOERROR", has_answer=True, transmissions=1, query_size=len(message), answer_size=len(answer))
    return lookup


@test("a query on a connected UDP socket is one lookup, with its addresses, sizes, process and namespace")
def connected(env):
    lookup = ask(env, "connected")
    expect(lookup, client="127.0.0.1", server="127.0.0.1", qtype="A", qclass="IN", answers=1, pid=os.getpid(),
           netns=env.near.inode, truncated=False)


@test("a query on an unconnected UDP socket is one lookup, with its process")
def unconnected(env):
    expect(ask(env, "unconnected", connected=False), client="127.0.0.1", server="127.0.0.1", pid=os.getpid())


@test("the process has its name, and where that came from is said")
def comm(env):
    with open("/proc/self/comm", encoding="ascii") as file:
        mine = file.read().rstrip("\n")
    lookup = ask(env, "comm")
    expect(lookup, pid=os.getpid(), comm=mine)
    assert lookup["owner_source"] in ("kprobe", "cgroup", "tracepoint"), lookup["owner_source"]


@test("the cgroup id is the inode number of the process's cgroup v2 folder, its path starts at the hierarchy's root")
def cgroup(env):
    lookup = ask(env, "cgroup")
    expect(lookup, cgroup_id=os.stat(CGROUP).st_ino)
    expect(lookup["workload"], cgroup_path=own_cgroup(), name=os.path.basename(CGROUP))


@test("a container of a pod has its ids from its cgroup, also where only a part of the machine is observed")
def pod(env):
    uid, container = "0a1b2c3d_0000_4000_8000_00000000000f", "c0ffee" + "0" * 58
    slices = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice"
    with cgroup_of(f"{CGROUP}/{slices}/cri-containerd-{container}.scope") as directory:
        name = dnsmsg.unique("pod")
        env.near.run(*inside(directory, "dig", "+tries=1", "+time=3", "@127.0.0.1", name))
        lookup = env.watch.one(name)
        expect(lookup, outcome="answered", comm="dig", cgroup_id=os.stat(directory).st_ino)
        expect(lookup["workload"], container_id=container, pod_uid=uid.replace("_", "-"), name=container[:12],
               cgroup_path=f"{own_cgroup()}/{slices}/cri-containerd-{container}.scope")


@test("--cgroup-root hides what is outside of it; without it the agent sees every cgroup and network namespace")
def whole_machine(env):
    below = dnsmsg.unique("machine")
    outer, inner = f"outer.{below}", f"inner.{below}"

    def asked_and_seen(ns, directory, name, watch):  # asked again, should the machine's other traffic have filled the ring
        ns.run(*inside(directory, "dig", "+tries=1", "+time=3", "@127.0.0.1", name))
        with contextlib.suppress(AssertionError):
            return watch.wait_for(lambda l: l["name"] == name, 1, 1)[0]

    with cgroup_of(f"{MOUNT}/{PREFIX}outside") as outside, Namespace("any") as ns, Server(ns), Agent(cgroup_root=None) as whole, \
            whole.watch(name=f"*.{below}") as watch:
        for directory, name in ((outside, outer), (CGROUP, inner)):
            lookup = wait_until(lambda d=directory, n=name: asked_and_seen(ns, d, n, watch), 15, f"the lookup of {name}")
            expect(lookup, outcome="answered", netns=ns.inode, cgroup_id=os.stat(directory).st_ino)
            expect(lookup["workload"], cgroup_path="/" + os.path.basename(directory))
    env.watch.wait_for(lambda l: l["name"] == inner)
    env.watch.settle()
    assert not [lookup for lookup in env.watch.lookups if lookup["name"] == outer]


@test("the A and AAAA pair that glibc sends with one sendmmsg is two lookups of the resolving process")
def sendmmsg_pair(env):
    name = dnsmsg.unique("pair")
    conf = env.agent.place.path("resolv.conf", "nameserver 127.0.0.1\noptions attempts:1 timeout:3\n")
    code = f"import socket, os; print(os.getpid()); print(len(socket.getaddrinfo('{name}', 80, type=socket.SOCK_STREAM)))"
    mount = 'mount --bind "$0" /etc/resolv.conf; exec "$@"'
    out = env.near.run("unshare", "--mount", "sh", "-ec", mount, conf, sys.executable, "-SEc", code).split()
    lookups = env.watch.named(name, 2)
    assert sorted(lookup["qtype"] for lookup in lookups) == ["A", "AAAA"], lookups
    assert lookups[0]["client_port"] == lookups[1]["client_port"], "glibc asks both on one socket"
    for lookup in lookups:
        expect(lookup, outcome="answered", pid=int(out[0]), answers=1)
    assert out[1] == "2", out


def uring(env, way):
    name = dnsmsg.unique("uring")
    program = env.agent.place.path("uring_send")
    if not os.path.exists(program):
        sh("cc", "-O2", "-Wall", "-Werror", "-o", program, f"{HERE}/uring_send.c", "-luring")
    child = env.near.popen(program, way, "127.0.0.1", "53", dnsmsg.query(name).hex(), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    out, err = child.communicate(timeout=10 * PATIENCE)
    assert child.returncode == 0 and out.strip(), err
    lookup = env.watch.one(name)
    expect(lookup, outcome="answered", pid=child.pid)
    return lookup


@test("queries that one send cuts into datagrams (UDP_SEGMENT) are a lookup each, the last one shorter")
def segmented(env):
    first = dnsmsg.unique("gso")
    names = [first.replace("gso", label) for label in ("gs1", "gs2", "gs3", "g4")]
    messages = [dnsmsg.query(name) for name in names]
    with env.near.socket() as sock:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(messages[0]))
        sock.sendto(b"".join(messages), ("127.0.0.1", 53))
        for _ in messages:
            sock.recv(65535)
    for name, message in zip(names, messages):
        expect(env.watch.one(name), outcome="answered", transmissions=1, query_size=len(message), pid=os.getpid())
    env.agent.balance()


@test("a query that io_uring sends with a destination is one lookup of its process")
def uring_sendmsg(env):
    expect(uring(env, "sendmsg"), comm="uring_send")


@test("a query that io_uring sends on a connected socket is one lookup of its process")
def uring_send(env):
    expect(uring(env, "send"), comm="uring_send")


@test("a query that io_uring's kernel thread sends (SQPOLL) is one lookup of the process that owns the ring")
def uring_sqpoll(env):
    expect(uring(env, "sqpoll"), comm="uring_send")


@test("IPv6, connected and unconnected")
def ipv6(env):
    for is_connected in (True, False):
        expect(ask(env, "v6", is_connected, socket.AF_INET6, "::1"), client="::1", server="::1", pid=os.getpid())


@test("IPv4 on an IPv6 socket (v4-mapped) is shown as IPv4, connected and unconnected")
def mapped(env):
    for is_connected in (True, False):
        lookup = ask(env, "mapped", is_connected, socket.AF_INET6, "::ffff:127.0.0.1")
        expect(lookup, client="127.0.0.1", server="127.0.0.1", pid=os.getpid())


@test("between two namespaces over veth a lookup is one record, on the client's side, IPv4 and IPv6")
def over_veth(env):
    lookup = ask(env, "veth4", address="10.53.0.2")
    expect(lookup, client="10.53.0.1", server="10.53.0.2", netns=env.near.inode, pid=os.getpid())
    lookup = ask(env, "veth6", family=socket.AF_INET6, address="fd53::2")
    expect(lookup, client="fd53::1", server="fd53::2", netns=env.near.inode, pid=os.getpid())


@test("IPv6 extension headers before the query and before the answer are walked over")
def extension_headers(env):
    pad = struct.pack("!BBBB4x", 0, 0, 1, 4)  # RFC 8200 4.2: next header (the kernel fills it in), length 0, PadN of 4
    options = [(socket.IPPROTO_IPV6, option, pad) for option in (socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS)]
    env.far.ip("address", "add", "fd53::3/64", "dev", "veth0", "nodad")
    with Server(env.far, "fd53::3", options=options):
        ask(env, "dstopts", family=socket.AF_INET6, address="fd53::3", options=options[1:])
        ask(env, "both", family=socket.AF_INET6, address="fd53::3", options=options)
        ask(env, "unconnected", False, socket.AF_INET6, "fd53::3", options=options)


@test("queries and answers that carry a VLAN tag on the wire")
def vlan(env):
    with Namespace("va") as left, Namespace("vb") as right:
        veth(left, right, ["10.53.7.1/24"], ["10.53.7.2/24"])
        program = env.agent.place.path("vlan_tag.o")
        include = f"/usr/include/{sh('cc', '-print-multiarch').strip()}"
        sh("clang", "-O2", "-g", "-target", "bpf", "-I", include, "-c", f"{HERE}/vlan_tag.bpf.c", "-o", program)
        for ns in (left, right):
            ns.run("tc", "qdisc", "add", "dev", "veth0", "clsact")
            for way, section in (("egress", "tc/push"), ("ingress", "tc/pop")):
                ns.run("tc", "filter", "add", "dev", "veth0", way, "bpf", "da", "obj", program, "sec", section)
        with right.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as tap, Server(right, "10.53.7.2"):
            tap.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            lookup = ask(env, "vlan", address="10.53.7.2", ns=left)
            tagged = 0
            tap.settimeout(0.2)
            while True:
                try:
                    _, extra, _, _ = tap.recvmsg(2048, 256)
                except TimeoutError:
                    break
                # struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid
                status, tci = struct.unpack_from("=I12xH", extra[0][2])
                tagged += bool(status & TP_STATUS_VLAN_VALID) and tci == 7
        expect(lookup, client="10.53.7.1", netns=left.inode)
        assert tagged >= 1, "no frame on the wire had the tag: the test proves nothing"


@test("an answer in IP fragments, IPv4 and IPv6, has its whole size")
def fragments(env):
    for server, address, family in ((env.remote, "10.53.0.2", socket.AF_INET), (env.remote6, "fd53::2", socket.AF_INET6)):
        name = server.on(dnsmsg.unique("fragments"), lambda q: [q.answer(records=dnsmsg.padding(3800), edns=4096)])
        with env.near.socket(family) as sock:
            sock.connect((address, 53))
            sock.send(dnsmsg.query(name, dnsmsg.TXT, edns=4096))
            answer = sock.recv(65535)
        assert len(answer) > 3000, "larger than the veth's 1500"
        expect(env.watch.one(name), outcome="answered", answer_size=len(answer), edns_size=4096, truncated=False,
               answers=len(dnsmsg.padding(3800)))


@test("two processes that ask the same question under the same id at once each get their own lookup")
def same_id(env):
    name = env.server.on(dnsmsg.unique("sameid"), lambda q: [(0.2, q.answer())])
    message = dnsmsg.query(name, ident=4242).hex()
    children = [env.near.popen(sys.executable, "-SE", f"{HERE}/client.py", "127.0.0.1", "53", message, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=10 * PATIENCE)
        assert child.returncode == 0
    lookups = env.watch.named(name, 2)
    assert {lookup["pid"] for lookup in lookups} == {child.pid for child in children}, lookups
    for lookup in lookups:
        expect(lookup, outcome="answered", id=4242, transmissions=1)


@test("the same ports, addresses and id in two namespaces at once are two lookups")
def same_tuple(env):
    with Namespace("twin") as twin, Server(twin) as other:
        name = dnsmsg.unique("sametuple")
        for server in (env.server, other):
            server.on(name, lambda q: [(0.2, q.answer())])
        socks = [ns.socket() for ns in (env.near, twin)]
        for sock in socks:
            sock.bind(("127.0.0.1", 40053))
            sock.connect(("127.0.0.1", 53))
        for sock in socks:
            sock.send(dnsmsg.query(name, ident=99))
        for sock in socks:
            sock.recv(512)
            sock.close()
        lookups = env.watch.named(name, 2)
        assert {lookup["netns"] for lookup in lookups} == {env.near.inode, twin.inode}, lookups
        for lookup in lookups:
            expect(lookup, outcome="answered", client_port=40053, transmissions=1)


@test("one socket that asks two servers under the same id gets two lookups")
def two_servers(env):
    name = dnsmsg.unique("twoservers")
    with env.near.socket() as sock, Server(env.near, "127.0.0.2"):
        for address in ("127.0.0.1", "127.0.0.2"):
            sock.sendto(dnsmsg.query(name, ident=7), (address, 53))
        sock.recv(512)
        sock.recv(512)
    lookups = env.watch.named(name, 2)
    assert sorted(lookup["server"] for lookup in lookups) == ["127.0.0.1", "127.0.0.2"]
    for lookup in lookups:
        expect(lookup, outcome="answered", transmissions=1)


@test("a query that a child process sends on an inherited socket is the child's")
def inherited(env):
    name = dnsmsg.unique("inherited")
    with env.near.socket() as sock:
        code = f"import socket; s = socket.socket(fileno={sock.fileno()}); " \
               f"s.sendto(bytes.fromhex('{dnsmsg.query(name).hex()}'), ('127.0.0.1', 53)); s.detach()"
        child = subprocess.Popen(bound_to_us([sys.executable, "-SEc", code]), pass_fds=[sock.fileno()])
        assert child.wait(10) == 0
        sock.recv(512)
    expect(env.watch.one(name), outcome="answered", pid=child.pid, netns=env.near.inode)


@test("dig's own lookup carries dig's pid and name")
def dig(env):
    name = dnsmsg.unique("dig")
    child = env.near.popen("dig", "+tries=1", "+time=3", "@127.0.0.1", name, "AAAA", stdout=subprocess.PIPE)
    child.communicate(timeout=10 * PATIENCE)
    lookup = env.watch.one(name)
    # dig sends from a thread named isc-net-0000.
    expect(lookup, pid=child.pid, comm="dig", qtype="AAAA", outcome="answered", edns_size=1232)


@test("start is the wall-clock time of the query")
def start_time(env):
    before = time.time()
    lookup = ask(env, "start")
    text = json.dumps(lookup["start"]).strip('"')
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + float(f"0.{fraction or 0}")
    after = time.time()
    step = 0.001  # the agent reads the two clocks one after the other, and the system's may be slewed
    assert before - step <= seconds <= after + step, f"{text} is not within [{before}, {after}]"
