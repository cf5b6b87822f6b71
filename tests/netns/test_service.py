# SPDX-License-Identifier: Apache-2.0
"""The agent as a systemd service."""

import os
import re
import signal
import socket

import dnsmsg
from agent import BUILD, CFAGENT, ROOT, Agent, Place, expect
from dnsserver import Server
from harness import test
from netns import Namespace, sh

UNIT = os.path.join(ROOT, "packaging", "systemd", "cfagent.service")


def unit():
    with open(UNIT, encoding="utf-8") as file:
        return file.read()


def setting(key):
    return re.search(rf"^{key}=(.*)$", unit(), re.MULTILINE).group(1)


@test("systemd-analyze has nothing to say about the unit, and it starts what is installed")
def verified():
    with Place() as place:
        sh("cmake", "--install", BUILD, "--prefix", "/usr/local", env={**os.environ, "DESTDIR": place.dir})
        program = setting("ExecStart").split()[0]
        assert os.access(place.dir + program, os.X_OK), f"{program} is not installed"
        os.mkdir(place.path("unit"))
        copy = place.path("unit/cfagent.service", unit().replace(f"ExecStart={program}", f"ExecStart={CFAGENT}"))
        said = sh("systemd-analyze", "verify", "--man=no", copy, stderr_too=True)
        assert not said, said


@test("the unit's capabilities are enough: process, workload and answer are there, and no capability is left over")
def capabilities():
    names = [name.removeprefix("CAP_").lower() for name in setting("CapabilityBoundingSet").split()]
    bounded = ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{name}" for name in names)]), "--no-new-privs"]
    with Namespace("caps") as ns, Server(ns), Place() as place, Agent(place=place, prefix=bounded) as agent, agent.watch() as watch:
        name = dnsmsg.unique("caps")
        with ns.socket() as sock:
            sock.sendto(dnsmsg.query(name), ("127.0.0.1", 53))
            sock.recv(512)
        lookup = watch.one(name)
        expect(lookup, outcome="answered", pid=os.getpid(), netns=ns.inode)
        assert lookup["workload"]["cgroup_path"], lookup["workload"]
        with open(f"/proc/{agent.pid}/status", encoding="ascii") as file:
            effective = int(re.search(r"^CapEff:\t(\w+)", file.read(), re.MULTILINE).group(1), 16)
        assert effective.bit_count() == len(names), f"{effective:#x} is not {names}"


@test("systemd is told READY=1, RELOADING=1 and STOPPING=1")
def notify():
    with Place() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(place.path("notify"))
        sock.settimeout(5)
        with Agent(place=place, env={"NOTIFY_SOCKET": place.path("notify")}) as agent:
            assert b"READY=1" in sock.recv(512)
            agent.signal(signal.SIGHUP)
            assert b"RELOADING=1" in sock.recv(512)
            assert b"READY=1" in sock.recv(512)
            agent.stop()
            assert b"STOPPING=1" in sock.recv(512)
