"""The keeper: a small process running the private server as long as any user holds a connection to it.

    python -I -S keeper.py FOLDER LINE BINARIES [NAME=VALUE ...]

Every user of the server holds a connection to the socket LINE. The keeper answers it with `ready`, or with
`failed WHY`. When the last connection is gone (closed, exit, kill -9), it stops the server and exits. A
leaving user sends `bye` and waits for the end of its connection: it ends at once while other users remain,
else with the keeper itself. So nothing is left behind, and no server stops under a user.

The keeper is a process of its own because the first user may leave before the second. It is run by its path,
with the standard library alone, so it starts in some 20 ms and knows none of its users' secrets.
"""

import contextlib
import fcntl
import os
import pwd
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

PATIENCE = 60.0
"""Seconds for the server to start (possibly with crash recovery) or to stop."""
COMING = 10.0
"""Seconds for the first user to connect after asking for a server."""
# The uid of an unprivileged user without an account.
NOBODY = 65534
BYE = b"bye"
TAKEN = 75
"""Exit status: another keeper is running or just leaving."""

_REASON = re.compile(r"\b(?:FATAL|PANIC|DETAIL|error): +(.*)")


class FailedError(Exception):
    """The server cannot run; the text gives the reason."""


def main(folder: Path, line: Path, binaries: Path, settings: list[str]) -> int:
    """Becomes the keeper of FOLDER; returns TAKEN if it has one. A file lock decides."""
    lock = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return TAKEN
    door = _door(line)
    if os.fork():
        return 0
    _detach(folder / "server.log")
    server = Server(folder, line.parent, binaries, settings)
    board = ClientRegistry(door, server)
    try:
        server.start()
        board.serve()
    except (FailedError, OSError) as error:
        _refuse(door, str(error))
    line.unlink(missing_ok=True)
    door.close()
    server.stop()
    os._exit(0)


def _door(line: Path) -> socket.socket:
    line.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(line))
    door.listen(128)
    return door


def _detach(log: Path) -> None:
    """Detaches from the terminal and from signals meant for the users."""
    os.setsid()
    os.chdir("/")
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _pass)
    if log.exists() and log.stat().st_size > 1_000_000:
        os.truncate(log, 0)
    errors = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for source, target in ((nothing, 0), (nothing, 1), (errors, 2)):
        os.dup2(source, target)


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Does nothing. A handler instead of SIG_IGN, since the server would inherit SIG_IGN."""


def _refuse(door: socket.socket, why: str) -> None:
    door.settimeout(1.0)
    with contextlib.suppress(OSError):
        while True:
            user, _ = door.accept()
            user.sendall(f"failed {' '.join(why.split())}\n".encode())
            user.close()
            door.settimeout(0.0)


class ClientRegistry:
    """The connections of the users, next to the server's life."""

    def __init__(self, door: socket.socket, server: "Server") -> None:
        self.server = server
        self.door = door
        self.users: set[socket.socket] = set()
        self.leaving: list[socket.socket] = []
        self.events = selectors.DefaultSelector()
        self.death, self.wakeup = socket.socketpair()
        for end in (door, self.death, self.wakeup):
            end.setblocking(False)
        self.events.register(door, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serves until the last user is gone, or no first user comes."""
        self._listen(COMING)
        self._watch()
        while self.users:
            self._listen(None)

    def _watch(self) -> None:
        """Listens for the server's death like for a user's message."""
        signal.signal(signal.SIGCHLD, _pass)
        signal.set_wakeup_fd(self.wakeup.fileno(), warn_on_full_buffer=False)
        self.events.register(self.death, selectors.EVENT_READ)
        self.server.revive()

    def _listen(self, timeout: float | None) -> None:
        for key, _ in self.events.select(timeout):
            if key.fileobj is self.door:
                self._welcome()
            elif key.fileobj is self.death:
                self.death.recv(4096)
                self.server.revive()
            else:
                assert isinstance(key.fileobj, socket.socket)
                self._hear(key.fileobj)

    def _welcome(self) -> None:
        """Accepts a user; releases users waiting to be the last."""
        user, _ = self.door.accept()
        user.setblocking(False)
        with contextlib.suppress(OSError):
            user.send(b"ready\n")
        self.users.add(user)
        self.events.register(user, selectors.EVENT_READ)
        while self.leaving:
            self.leaving.pop().close()

    def _hear(self, user: socket.socket) -> None:
        """Handles a message: any is a goodbye. The last user's connection stays open until the keeper's own end."""
        self.events.unregister(user)
        self.users.discard(user)
        if self.users:
            user.close()
        else:
            self.leaving.append(user)


class Server:
    """One PostgreSQL over FOLDER/data, reachable only through a socket in `run`."""

    def __init__(self, folder: Path, run: Path, binaries: Path, settings: list[str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.run = run
        self.binaries = binaries
        self.settings = settings
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server on the data of an earlier run; FailedError gives the reason if it does not start."""
        if not self.data.exists():
            self._init()
        deadline = time.monotonic() + PATIENCE
        while complaint := self._try(deadline):
            if "shared memory block" not in complaint or time.monotonic() > deadline:
                raise FailedError(complaint)
            time.sleep(0.1)  # a surviving process of a killed server still uses the data

    def revive(self) -> None:
        """Restarts a crashed server; a server stopped in order stays down, since an operator stopped it."""
        if self.child is not None and self.child.poll():
            time.sleep(0.1)
            self.start()

    def stop(self) -> None:
        """Stops the server: a fast shutdown first, then an immediate one, then SIGKILL."""
        for signal_number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self.child is not None and self.child.poll() is None:
                self.child.send_signal(signal_number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.child.wait(PATIENCE)

    def _init(self) -> None:
        """Creates the cluster in a temporary folder and renames it, so a broken-off attempt is never used.

        The folder's name is unique: the initdb of a killed keeper may still be writing into its own.
        """
        for broken_off in self.folder.glob("data.new*"):
            shutil.rmtree(broken_off, ignore_errors=True)
        aside = self.folder / f"data.new.{os.getpid()}"
        aside.mkdir(mode=0o700)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", *self._locale()]
        made = _run(*_privilege_prefix(aside), self.binaries / "initdb", *options, "--pgdata", aside)
        if made.returncode:
            raise FailedError(_last(made.stderr) or "initdb failed")
        aside.rename(self.data)

    def _locale(self) -> list[str]:
        """Chooses the locale: built-in C.UTF-8 sorts equally everywhere, but servers before 17 lack it."""
        answer = _run(self.binaries / "postgres", "--version")
        version = re.search(r"PostgreSQL\) ([0-9]+)", answer.stdout)
        if version is None:
            raise FailedError(_last(answer.stderr) or f"{self.binaries} has no PostgreSQL")
        if int(version[1]) < 17:
            return ["--locale=C"]
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]

    def _try(self, deadline: float) -> str:
        """Runs the server until it is ready; returns "", or the server's complaint if it ends before."""
        self._clear()
        log = self.folder / "server.log"
        seen = log.stat().st_size
        self.child = child = subprocess.Popen(  # noqa: S603 - all words are our own
            self._command(), stdin=subprocess.DEVNULL, stdout=sys.stderr
        )
        while child.poll() is None:
            if self._is_ready(child.pid):
                return ""
            if time.monotonic() > deadline:
                return f"it is not ready after {PATIENCE:g} s"
            time.sleep(0.005)
        return _last(log.read_bytes()[seen:].decode(errors="replace")) or f"it exited with {child.returncode}"

    def _is_ready(self, pid: int) -> bool:
        notes = _notes(self.data)
        return notes[:1] == [str(pid)] and notes[7:8] == ["ready"]

    def _command(self) -> list[str | Path]:
        quoted = str(self.run).replace('"', '""')
        fixed = ["listen_addresses=", "port=5432", "unix_socket_permissions=0700", "logging_collector=off"]
        settings = [*fixed, f'unix_socket_directories="{quoted}"', *self.settings]
        options = [part for setting in settings for part in ("-c", setting)]
        return [*_privilege_prefix(self.data), self.binaries / "postgres", "-D", self.data, *options]

    def _clear(self) -> None:
        """Clears the remains of an earlier server, since PostgreSQL believes any pid file with a running pid."""
        for socket_file in self.run.glob(".s.PGSQL.*"):
            socket_file.unlink(missing_ok=True)
        notes = _notes(self.data)
        pid_file = self.data / "postmaster.pid"
        if not notes or not notes[0].isdecimal():
            pid_file.unlink(missing_ok=True)
        elif _is_server(int(notes[0]), self.data):
            _end_orphan(int(notes[0]), self.data)
        else:
            # A server never takes its parent's pid for another server's. The other lines stay for the
            # server's own check: killed servers' processes may still use the shared memory named there.
            pid_file.write_text("\n".join([str(os.getpid()), *notes[1:], ""]))


def _notes(data: Path) -> list[str]:
    """Reads postmaster.pid: pid, folder, start, port, socket folder, address, shared memory, state."""
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text(errors="replace").splitlines()]
    except FileNotFoundError:
        return []


def _is_server(pid: int, data: Path) -> bool:
    """Returns True if the pid belongs to the server of this folder, not to another process with a reused pid."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return os.fsencode(data) in words and Path(os.fsdecode(words[0])).name == "postgres"
    except OSError:
        if Path("/proc/self").exists():
            return False
    return f"postgres -D {data} " in _run("ps", "-o", "command=", "-p", str(pid)).stdout


def _end_orphan(pid: int, data: Path) -> None:
    """Stops the server of a killed keeper; its data are sound, and the next server needs them."""
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + PATIENCE
    while _is_server(pid, data):
        if time.monotonic() > deadline:
            raise FailedError(f"the server of an earlier run (pid {pid}) does not stop")
        time.sleep(0.01)


def _privilege_prefix(data: Path) -> Iterator[str]:
    """Yields the prefix of a command: it ends the command with us, and runs it as another user for root.

    PostgreSQL refuses root. A user namespace gives root another name with the same rights. Without namespaces
    (in most containers) the server gets another user, and the folder with it.
    """
    if os.geteuid() == 0:
        owner = data.stat()
        some_user = next((str(entry.pw_uid) for entry in pwd.getpwall() if entry.pw_uid), str(NOBODY))
        namespace = ["unshare", "--user", f"--map-user={some_user}", f"--map-group={some_user}"]
        if owner.st_uid == 0 and _works(namespace):
            yield from namespace
        else:
            yield from _other_user(data, owner.st_uid or NOBODY, owner.st_gid or NOBODY)
    if _works(["setpriv", "--pdeathsig", "INT"]):
        yield from ("setpriv", "--pdeathsig", "INT")


def _other_user(data: Path, user: int, group: int) -> Iterator[str]:
    """Yields a prefix to run as another user with access to root's folders."""
    command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    command += ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    if not _works(command):
        raise FailedError("PostgreSQL refuses to run as root, and neither unshare nor setpriv helps here")
    if data.stat().st_uid != user:
        for path in (data, *data.rglob("*")):
            os.chown(path, user, group, follow_symlinks=False)
    yield from command


def _works(command: list[str]) -> bool:
    try:
        return _run(*command, "true").returncode == 0
    except FileNotFoundError:
        return False


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - all words are ours


def _last(log: str) -> str:
    """Returns the reason given in a log: the last error with its detail, else the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    reasons = [match[1] for line in lines if (match := _REASON.search(line))]
    return " - ".join(reasons[-2:]) or "".join(lines[-1:])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]))
