# SPDX-License-Identifier: Apache-2.0
"""What the agent says when it can't start; and that nothing is left of the attempt."""

import os
import socket
import stat

from agent import Agent, Place
from harness import test
from loaded import nothing_left
from netns import sh
from refusal import refused


@test("a bad configuration file ends with status 2, its key, its line and what was expected")
def bad_config():
    cases = [("log_level: info\ndns:\n  timeout: soon\n", r"agent\.yaml:3", r"dns\.timeout", "soon", "expected"),
             ("dns:\n  ports: [53, 70000]\n", r"agent\.yaml:2", r"dns\.ports", "70000", "65535"),
             ("dns:\n  ports: []\n", r"agent\.yaml:2", r"dns\.ports"),
             ("dns:\n  prots: [53]\n", r"agent\.yaml:2", r"dns\.prots", "expected"),
             ("log_level: loud\n", r"agent\.yaml:1", "log_level", "loud", "expected"),
             ("dns: 5\n", r"agent\.yaml:1", "dns"),
             ("dns:\n  timeout: {a: b}\n", r"agent\.yaml:2", r"dns\.timeout"),
             ("- a\n- b\n", "agent.yaml", "expected"),
             ("log_level: info\ndns: [53\n", r"agent\.yaml:\d", "YAML"),
             ("log_level: \"info\nother\x01\n", r"agent\.yaml")]
    with Place() as place:
        wrong = []
        for text, *words in cases:
            done = place.run("--config", place.path("agent.yaml", text))
            try:
                refused(done, *words, status=2)
            except AssertionError as error:
                wrong.append(f"{text!r}: {error}")
        assert not wrong, "\n".join(wrong)


@test("a configuration file that isn't there, and a bad flag, end with status 2 and a sentence")
def bad_flags():
    with Place() as place:
        refused(place.run("--config", place.path("none.yaml")), "none.yaml", "no such file", status=2)
        refused(place.run("--dns-port", "99999"), "--dns-port", "99999", "65535", status=2)
        refused(place.run("--dns-timeout", "never"), "--dns-timeout", "never", "expected", status=2)
        for flags in (["--frobnicate"], ["--log-level", "info", "--log-level", "warn"]):
            done = place.run(*flags)
            assert done.returncode == 2 and flags[0] in done.stderr, done


@test("a metrics port that is taken is refused with the port and what to do, and nothing is left loaded")
def port_taken():
    with nothing_left(), Place() as place, socket.socket() as sock:
        sock.bind(("127.0.0.1", place.metrics_port))
        sock.listen()
        refused(place.run("--log-level", "error"), str(place.metrics_port), "in use|taken", "--metrics-listen|metrics_listen")
        assert not place.pinned() and not os.path.exists(place.socket)


@test("where the system gives it no more threads it says so with what to do, and leaves nothing")
def no_threads():
    with nothing_left(), Place() as place:
        little = ["sh", "-ec", 'ulimit -v 300000; exec "$@"', "sh"]  # KiB: some stacks of threads, not all
        refused(place.run("--log-level", "error", prefix=little), "cannot start a thread", "TasksMax")
        assert not place.pinned() and not os.path.exists(place.socket)


@test("without root it is refused with what it needs")
def not_root():
    with Place() as place:
        os.chmod(place.dir, 0o755)
        done = place.run("--log-level", "error", prefix=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
        refused(done, "root|CAP_BPF")


@test("a control socket that somebody listens on is refused; one that was left behind is not")
def socket_present():
    with Place() as place:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(place.socket)
            other.listen()
            refused(place.run("--log-level", "error"), "agent.sock", "--control-socket|control_socket|listen|in use|running")
            assert os.path.exists(place.socket), "the other's socket was removed"
        with Agent(place=place) as agent:  # the file is still there, nobody listens
            assert stat.S_IMODE(os.stat(place.socket).st_mode) == 0o660, oct(os.stat(place.socket).st_mode)
            assert agent.status()["pid"] == agent.pid


@test("a second agent with the first one's state directory is refused with what to do, and changes nothing there")
def state_present():
    with nothing_left(), Place() as place, Place() as other:
        flags = ("--manifests", place.dir)
        other.state = place.state
        with Agent(*flags, place=place):
            refused(other.run(*flags, "--log-level", "error"), "another agent is running", place.state, "--state-dir")
        assert other.run("--dry-run").returncode == 0 and not other.pinned()


@test("a state directory that can't be one is said in the log and the status, and operators' changes are refused")
def state_is_file():
    with nothing_left(), Place() as place:
        plain = place.state = place.path("plain", "no directory")
        with Agent("--manifests", place.dir, place=place) as agent:
            assert f"state_dir {plain} can't be written (Not a directory)" in agent.log(), agent.log()
            assert "is put aside" not in agent.log()
            said = next(f for f in agent.status()["functions"] if f["name"] == "services")
            assert said["degraded"] and plain in said["detail"], said


@test("a file in the place of the control socket is refused and kept")
def file_present():
    with nothing_left(), Place() as place:
        with open(place.socket, "w", encoding="ascii") as file:
            file.write("precious")
        refused(place.run("--log-level", "error"), "agent.sock")
        with open(place.socket, encoding="ascii") as file:
            assert file.read() == "precious"


@test("a pin path outside a BPF file system is refused with what to do")
def pin_path():
    with nothing_left(), Place() as place:
        place.pins = place.path("plain")
        refused(place.run("--log-level", "error"), "plain", "bpf", "--pin-path|mount")
        assert not os.path.exists(place.pins), "it made the folder all the same"


@test("the root of a BPF file system, where others pin too, is refused as a pin path, to run and to remove")
def pin_root():
    with nothing_left(), Place() as place:
        place.pins = place.bpffs
        other = f"{place.bpffs}/other"
        sh("bpftool", "map", "create", other, "type", "array", "key", "4", "value", "4", "entries", "1", "name", "other")
        before = os.listdir(place.bpffs)
        for flags in (("--log-level", "error"), ("--remove",)):
            refused(place.run(*flags), "root of a BPF file system", "below it")
        assert os.listdir(place.bpffs) == before and os.path.exists(other)


@test("a cgroup root that isn't there, or is no cgroup v2 directory, is refused with what to do, and nothing is left")
def cgroup_root():
    with nothing_left(), Place() as place:
        for root in (place.path("none"), place.dir):
            refused(place.run("--log-level", "error", cgroup_root=root), root, "cgroup v2", "leave it out")
        assert not os.path.exists(place.pins)


@test("a machine with no BPF file system mounted: the agent mounts one at /sys/fs/bpf and pins there")
def no_bpffs():
    with nothing_left(), Place() as place:
        place.pins = f"/sys/fs/bpf/{os.path.basename(place.dir)}"
        bare = ["unshare", "--mount", "sh", "-ec", 'umount -R /sys/fs/bpf; exec "$@"', "sh"]
        with Agent(place=place, prefix=bare) as agent:
            assert os.listdir(f"/proc/{agent.pid}/root{place.pins}")
            assert not os.path.exists(place.pins), "the mount namespace was not the agent's own: the test proves nothing"


@test("a BPF file system that can't be written to is refused with the path")
def read_only_bpffs():
    with nothing_left(), Place() as place:
        sealed = ["unshare", "--mount", "sh", "-ec", 'mount -o remount,bind,ro "$0"; exec "$@"', place.bpffs]
        refused(place.run("--log-level", "error", prefix=sealed), place.pins, "read-only")


@test("a metrics address that this machine doesn't have is refused with the address and what to do, and nothing is left")
def metrics_address():
    with nothing_left(), Place() as place:
        place.metrics_listen = "192.0.2.1:9464"
        refused(place.run("--log-level", "error"), r"192\.0\.2\.1", "--metrics-listen")
        assert not os.path.exists(place.pins) and not os.path.exists(place.socket)
