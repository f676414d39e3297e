"""PostgreSQL as a process of the tests: a cluster in a directory of its own, on 127.0.0.1."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.broker import free_port

_START_SECONDS = 30.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "logical",
    "timezone": "UTC",
    # a killed process loses nothing that it gave to the operating system
    "fsync": "off",
}
_DONE = "-- done"


def newest_programs() -> Path | None:
    """The folder of the newest PostgreSQL, where Debian puts it; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Postgres:
    """One PostgreSQL, whose superuser needs no password; what it stores outlives `kill()`.

    Args:
        programs: Where `initdb`, `postgres` and `psql` lie.
    """

    def __init__(self, programs: Path) -> None:
        self.port = free_port()
        self._programs = programs
        self._own = tempfile.TemporaryDirectory(prefix="signalbox-postgres-")
        self._directory = Path(self._own.name)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._directory, user.pw_uid, user.pw_gid)
        data = str(self._directory / "data")
        self._start(["initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"])
        assert self._process is not None
        assert self._process.wait() == 0, self.log()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            # unlike a kill this waits for the backends, which write to the directory
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._own.cleanup()

    def start(self) -> None:
        """Start, and wait until it answers."""
        place = ["-D", str(self._directory / "data"), "-k", str(self._directory), "-p", str(self.port)]
        command = ["postgres", *place, *(f"-c{name}={value}" for name, value in _SETTINGS.items())]
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, self.log()
            if self._process is None or self._process.poll() is not None:
                # after a kill the last backends may still hold the shared memory: then it ends at once
                self._start(command)
            time.sleep(0.1)

    def kill(self) -> None:
        """End it without warning (SIGKILL): the backends follow, and the next start recovers from the log."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, script: str, database: str = "crm") -> str:
        """Run SQL, each statement a transaction of its own unless the script says otherwise; gives what it prints."""
        command = [*self._psql(database), "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def session(self, database: str = "crm") -> Session:
        """A connection that stays open."""
        return Session(self._psql(database))

    def log(self) -> str:
        """What the server has said."""
        return (self._directory / "postgres.log").read_text(errors="replace")

    def _psql(self, database: str) -> list[str]:
        target = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        return [str(self._programs / "psql"), "-XqAt", target]

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _start(self, command: Sequence[str]) -> None:
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root
            identity = {"user": "postgres", "group": "postgres", "extra_groups": []}
        with (self._directory / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / command[0]), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
                **identity,
            )


class Session:
    """A connection that runs one script after the other."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, script: str) -> str:
        """Run SQL and wait until it is done; gives what it prints, errors among it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{script}\n\\echo '{_DONE}'\n")
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            if line.strip() == _DONE:
                return "".join(said)
            said.append(line)
        raise AssertionError(f"the connection was lost: {''.join(said)}")

    def close(self) -> None:
        """End it; what is not committed is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
