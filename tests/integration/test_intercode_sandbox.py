"""Attacks on the Bash sandbox: none leaves a process, a file or a byte outside. The table of docs/security.md."""

import gc
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import BashEnvironment, SandboxLimits, SandboxUnavailable
from langchain_linvit.environments.intercode.sandbox.workspace import Workspace, workspace
from langchain_linvit.errors import MissingDependencyError

pytestmark = pytest.mark.integration

LIMITS = SandboxLimits(
    seconds=3.0, cpu_seconds=3, memory_bytes=200_000_000, processes=40, file_bytes=2_000_000, disk_bytes=10_000_000,
    files=2_000, output_bytes=100_000,
)  # fmt: skip


@pytest.fixture(scope="module", params=["overlay", "copy"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def prototype(mode, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "data").mkdir()
    (folder / "data" / "a.txt").write_text("alpha\n")
    (folder / "data" / "b.txt").write_text("beta\n")
    try:
        environment = BashEnvironment(mode=mode, file_system=folder, limits=LIMITS)
    except (SandboxUnavailable, MissingDependencyError) as error:
        pytest.skip(str(error))
    environment.reset(Task(id="t", text="Do it.", data={"gold": "cat /data/a.txt"}))
    return environment


@pytest.fixture
def environment(prototype):
    fork = prototype.fork()
    yield fork
    fork.close()


def sandboxed_processes():
    """Processes of the host that have a mount of this program's workspace."""
    found = []
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if workspace().name in path.read_text():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


# name: (command, what its output, or the limit that stops it, has to match)
# ruff: noqa: E501 - an attack is easier to read on one line
STOPPED = {
    "fork bomb in the foreground": (":(){ :|:; }; :", "3 s"),
    "fork bomb that respawns": ("b(){ b & b & wait; }; b", "3 s"),
    "endless loop": ("while true; do :; done", "3 s"),
    "sleep for ever": ("sleep 100000", "3 s"),
    "close the output and stay": ("exec >&- 2>&-; sleep 100000", "3 s"),
    "ignore every signal": ("trap '' TERM INT HUP QUIT; while :; do sleep 1; done", "3 s"),
    "endless output": ("yes", "bytes of output"),
    "endless error output": ("yes >&2", "bytes of output"),
    "read a device for ever": ("cat /dev/zero", "bytes of output"),
    "many processes' memory": (
        "for i in 1 2 3 4 5 6; do perl -e '$x = q(x) x 60000000; sleep 60' & done; wait", "of memory"),
    "fill the disk with many files": (
        "for i in $(seq 100); do head -c 1900000 /dev/zero > /tmp/f$i; done", "to the disk"),
    "fill the disk with sparse files": ("for i in $(seq 50); do truncate -s 1900000 /tmp/f$i; done", "to the disk"),
    "use up the inodes": ("cd /tmp; for i in $(seq 100000); do : > f$i; done", "files|3 s"),
    "folders too deep to remove": ("cd /tmp; perl -e 'for (1..1900) { mkdir q(d); chdir q(d) }'", "path of more than"),
}  # fmt: skip

CONTAINED = {
    "fork bomb in the background": (":(){ :|:& };:", ""),
    "daemons that outlive the shell": ("setsid nohup sleep 1000 >/dev/null 2>&1 & disown; echo started", "started"),
    "double fork": ("(setsid sh -c 'setsid sleep 1000 &' &) ; echo started", "started"),
    "remove everything": ("rm -rf --no-preserve-root / 2>/dev/null; echo left", "left|3 s"),
    "one file that is too large": ("head -c 5000000 /dev/zero > /tmp/big; stat -c %s /tmp/big", "2000000"),
    "one process's memory": ("perl -e '$x = q(x) x 900000000; print length $x'", "(?i)out of memory"),
    "many open files": ("perl -e 'for (1..10000) { open($f[$_], q(<), q(/etc/hosts)) or print($_) && exit }'", r"^2\d\d"),
    "write to the programs": ("echo evil > /usr/bin/evil", "Read-only file system"),
    "replace the shell": ("cp /etc/hosts /bin/bash; echo $?", "1"),
    "read the host's passwords": ("cat /etc/shadow", "No such file"),
    "read the host's users": ("wc -l < /etc/passwd", "^2"),
    "read the host's root": ("ls -A /root; ls -A /home", r"^(\.gitconfig\s*)?$"),
    "read secrets of the environment": ("env; cat /proc/self/environ", "(?s)^(?!.*LINVIT_TEST_SECRET)"),
    "see processes of the host": ("ls /proc | grep -c '^[0-9]'", r"^[1-5]\b"),
    "kill processes of the host": ("kill -9 -1; echo alive", "alive"),
    "enter the host's namespaces": ("nsenter -t 1 -a true", "(?i)not permitted|denied|failed"),
    "new user namespace": ("unshare --user --map-root-user true", "(?i)no space left|not permitted|failed"),
    "mount something": ("mount -t tmpfs none /tmp", "(?i)not permitted|denied|must be superuser"),
    "unmount the guard": ("umount /usr", "(?i)not permitted|denied|must be superuser"),
    "change root": ("chroot /data /bin/true", "(?i)not permitted"),
    "make a disk device": ("mknod /tmp/disk b 254 0", "(?i)not permitted"),
    "make a memory device": ("mknod /tmp/mem c 1 1", "(?i)not permitted"),
    "become another user": ("su nobody -s /bin/true", "(?i)cannot|not permitted|invalid|fail|abort"),
    "gain rights by setuid": ("cp /bin/bash /tmp/sh; chmod u+s /tmp/sh; /tmp/sh -p -c 'grep NoNewPrivs /proc/self/status'",
                              r"NoNewPrivs:\s+1|File too large|File size limit"),
    "write to kernel settings": ("echo 1 > /proc/sys/kernel/panic", "(?i)denied|read-only|not permitted"),
    "trigger the kernel": ("echo b > /proc/sysrq-trigger", "(?i)denied|read-only|not permitted|no such"),
    "read kernel memory": ("head -c 10 /dev/mem; head -c 10 /proc/kcore", "(?i)no such file|denied|not permitted"),
    "reach the network": ("(exec 3<>/dev/tcp/1.1.1.1/80) 2>&1", "(?i)unreachable"),
    "reach the host's loopback": ("(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>&1", "(?i)refused|unreachable"),
    "see network interfaces": ("tail -n +3 /proc/net/dev | cut -d: -f1", r"^\s*lo\s*$"),
    "shared memory of the host": ("ls -A /dev/shm; echo evil > /dev/shm/evil", "Read-only"),
    "system V memory": ("ipcmk -M 100000000", "(?i)not permitted|denied|failed"),
    "keyring of the kernel": ("perl -e 'print syscall(250, 0, -3, 0) , qq( ), $!'", "-1 .*not permitted"),
    "memory files": ("perl -e '$n = qq(x); print syscall(319, $n, 0), qq( ), $!'", "-1 .*not permitted"),
    "trace a process": ("perl -e 'print syscall(101, 0, 0, 0, 0), qq( ), $!'", "-1 .*not permitted"),
    "link to a file of the host": ("ln -s {canary} /tmp/l; echo evil > /tmp/l; cat /tmp/l", "(?i)no such file"),
    "climb out of the root": ("cat ../../../../../../..{canary}; ls /..", "(?i)no such file"),
    "through process 1": ("cat /proc/1/root{canary}", "(?i)no such file"),
    "leaked descriptors": ("ls /proc/self/fd | tr '\\n' ' '", r"^0 1 2 3 $"),
    "a terminal to type into": ("echo evil > /dev/tty", "(?i)no such device"),
    "an overlay's own attributes": (
        "perl -e '($p, $n, $v) = qw(/data user.overlay.opaque y); syscall(188, $p, $n, $v, 1, 0)'; ls /data", "a.txt"),
    "a whiteout made by hand": ("mknod /data/a.txt2 c 0 0; ls /data", "a.txt"),
    "names that are options": ("cd /tmp; touch -- '-rf' '--no-preserve-root' $'a\\nb'; ls | wc -l", "4|3"),
    "take all permissions away": ("mkdir -p /tmp/p/q; echo x > /tmp/p/q/r; chmod -R 000 /tmp/p; echo done", "done"),
    "a hook for the evaluation": ("mkdir -p /.git/hooks; printf '#!/bin/sh\\necho evil > {canary}\\n' > /.git/hooks/post-index-change;"
                                  " chmod +x /.git/hooks/*; git config core.fsmonitor 'echo evil > {canary}'; echo set", "set"),
}  # fmt: skip


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file of the host that no attack may read or change, and a secret in the environment."""
    monkeypatch.setenv("LINVIT_TEST_SECRET", "the secret")
    file = tmp_path / "canary"
    file.write_text("the secret")
    yield file
    assert file.read_text() == "the secret"
    assert os.listdir(tmp_path) == ["canary"]


@pytest.fixture
def port():
    """A port of the host's loopback that something listens on."""
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def filled(command, canary, port):
    return command.replace("{canary}", str(canary)).replace("{port}", str(port))


@pytest.mark.parametrize("attack", STOPPED)
def test_what_breaks_a_limit_is_stopped_and_undone(attack, environment, canary):
    command, limit = STOPPED[attack]
    before = (environment.state_key(), environment.state_text())
    began = time.monotonic()
    transition = environment.step(command)
    assert transition.error is not None, transition.observation[:300]
    assert "stopped and undone" in transition.error
    assert re.search(limit, transition.error), transition.error
    assert time.monotonic() - began < 60
    assert (environment.state_key(), environment.state_text()) == before
    assert sandboxed_processes() == []
    assert environment.step("cat /data/a.txt").observation == "alpha\n"


@pytest.mark.parametrize("attack", CONTAINED)
def test_what_tries_to_get_out_stays_in(attack, environment, prototype, canary, port):
    command, expected = CONTAINED[attack]
    transition = environment.step(filled(command, canary, port))
    assert "the secret" not in transition.observation
    assert re.search(expected, transition.error or transition.observation), transition
    if attack == "a hook for the evaluation":
        environment.evaluate()
    assert sandboxed_processes() == []
    assert prototype.fork().step("cat /data/*.txt").observation == "alpha\nbeta\n"


def layer_folders():
    gc.collect()
    return {path.name for path in workspace().folder.iterdir()} - {"lock", workspace().mount_point}


def test_every_layer_is_gone_after_close(environment):
    before = layer_folders()
    children = []
    for number in range(5):
        environment.step(f"echo {number} > /data/{number}; mkdir -p /data/deep/{number}; chmod 000 /data/deep/{number}")
        children.append(environment.fork())
        children[-1].step("echo child > /data/child")
    assert len(layer_folders()) >= len(before) + 5
    for child in [*children, environment]:
        child.close()
    children.clear()
    assert layer_folders() == before


def test_layers_of_a_crashed_search_are_gone(environment):
    before = layer_folders()

    def search():
        child = environment.fork()
        child.step("echo x > /data/x")
        raise RuntimeError("the search crashed")

    with pytest.raises(RuntimeError):
        search()
    sys.last_value = sys.last_traceback = None
    assert layer_folders() == before


PROGRAM = """
    import sys
    from langchain_linvit.environments.base import Task
    from langchain_linvit.environments.intercode import BashEnvironment, SandboxLimits
    from langchain_linvit.environments.intercode.sandbox.workspace import workspace

    environment = BashEnvironment(mode=sys.argv[1], file_system=sys.argv[2], limits=SandboxLimits(seconds=300))
    environment.reset(Task(id="t", text="?"))
    environment.step("echo kept > /kept")
    print(workspace().folder, flush=True)
    environment.step("sleep 300 & sleep 300")
"""


@pytest.fixture
def open_folder():
    """A folder that the sandbox's user may enter; pytest closes its own to others whenever a run starts."""
    with tempfile.TemporaryDirectory(prefix="linvit-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "files").mkdir()
        yield folder


def test_nothing_is_left_of_a_program_killed_outright(prototype, mode, open_folder, monkeypatch):
    monkeypatch.setenv("LINVIT_SANDBOX_DIR", str(open_folder / "workspaces"))
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), mode, str(open_folder / "files")],
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = Path(program.stdout.readline().strip())
    wait_for(lambda: sleepers(folder.name) >= 2, "the command runs")
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    program.stdout.close()
    wait_for(lambda: sleepers(folder.name) == 0, "the sandbox dies with its program")
    assert folder.exists(), "its layers are left"
    Workspace(open_folder / "workspaces").close()
    assert list((open_folder / "workspaces").iterdir()) == []


def test_the_next_start_kills_processes_that_a_killed_program_left(prototype, tmp_path):
    """Even one that the kernel did not end together with its parent."""
    parent = tmp_path / "workspaces"
    left = Workspace(parent)
    mount = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs "$1" /mnt && exec sleep 600',
        "sh",
    ]
    orphan = subprocess.Popen([*mount, left.name])
    wait_for(lambda: sleepers(left.name) == 1, "the orphan runs")
    os.close(left._lock)
    left._lock = -1
    Workspace(parent).close()
    assert orphan.wait(timeout=10) == -signal.SIGKILL
    assert list(parent.iterdir()) == []


def sleepers(name):
    found = 0
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            found += name in path.read_text() and "sleep" in (path.parent / "comm").read_text()
        except OSError:
            continue
    return found


def wait_for(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
