"""Preparing a MySQL or MariaDB server for InterCode-SQL: its databases, a user that may only read, a local server."""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from langchain_linvit.environments.intercode.mysql_session import connect
from langchain_linvit.environments.intercode.official import dataset
from langchain_linvit.environments.intercode.sqlite_dump import dump_statements
from langchain_linvit.errors import InvalidSettingError, LinvitError, MissingDependencyError

_READER = ("linvit_reader", "SELECT, SHOW VIEW")
_WRITER = ("linvit_writer", "SELECT, SHOW VIEW, INSERT, UPDATE, DELETE")
_START_SECONDS = 30.0


def prepare_mysql(admin_dsn: str, dump: str | Path | None = None, *, writes: bool = False) -> str:
    """Load the databases into a server, and make a user that may only read them, or also write their rows.

    Databases of the same names are replaced. The dump's own users and grants are left out: InterCode's gives
    everybody who connects all rights.

    Args:
        admin_dsn: `mysql://user:password@host:port` of a user that may create databases and users.
        dump: A MySQL dump; by default InterCode's 20 databases.
        writes: Make a user for `SqlEnvironment(..., writes=True)`, which never commits anything.

    Returns:
        The DSN of the new user, for `SqlEnvironment(backend="mysql", dsn=...)`.

    Raises:
        InvalidSettingError: The server can't be reached, or refuses the dump.
    """
    connection = connect(admin_dsn)
    cursor = connection.cursor()
    password = secrets.token_urlsafe(18)
    name, privileges = _WRITER if writes else _READER
    user = f"'{name}'@'%'"
    try:
        databases = []
        text = (Path(dump) if dump is not None else dataset("spider_dev.sql")).read_text(encoding="utf-8")
        for statement in dump_statements(text):
            if statement.startswith(("CREATE USER", "GRANT", "FLUSH")):
                continue
            cursor.execute(statement)
            if statement.startswith("USE `"):
                databases.append(statement.split("`")[1])
        cursor.execute(f"CREATE USER IF NOT EXISTS {user}")
        cursor.execute(f"ALTER USER {user} IDENTIFIED BY '{password}'")
        for database in databases:
            escaped = database.replace("_", r"\_")
            cursor.execute(f"GRANT {privileges} ON `{escaped}`.* TO {user}")
    except LinvitError:
        raise
    except Exception as error:
        raise InvalidSettingError(f"the server refused the dump: {error}") from error
    finally:
        connection.close()
    parts = urlsplit(admin_dsn)
    return f"mysql://{name}:{quote(password)}@{parts.hostname}:{parts.port or 3306}"


def docker_mysql(*, writes: bool = False) -> str:
    """InterCode's own MySQL container, started where it is not yet: the DSN of a user in it, as `prepare_mysql` makes.

    Not tested by this project, whose machines have no Docker engine.

    Raises:
        InvalidSettingError: There is no Docker engine, or the container can't be reached.
    """
    assets = importlib.import_module("intercode.assets")
    try:
        assets.sql_build_docker()
    except Exception as error:
        raise InvalidSettingError(f"InterCode's container could not be started: {error}") from error
    return prepare_mysql("mysql://admin:admin@127.0.0.1:3307", writes=writes)


@contextmanager
def local_mariadb(dump: str | Path | None = None, *, writes: bool = False) -> Iterator[str]:
    """A private MariaDB server on loopback, with the databases loaded: yields the DSN that `prepare_mysql` gives.

    It lives in a temporary folder and ends with the block. Needs Debian's `mariadb-server` (the binaries;
    the system's own server isn't touched). Takes about 10 seconds.

    Raises:
        MissingDependencyError: The binaries are not there.
        InvalidSettingError: The server didn't start; the message has its last words.
    """
    server, install = _binary("mariadbd"), _binary("mariadb-install-db")
    with tempfile.TemporaryDirectory(prefix="linvit-mariadb-") as name:
        folder = Path(name)
        account = _account(folder)
        data = folder / "data"
        _run(
            [
                install,
                "--no-defaults",
                f"--datadir={data}",
                "--skip-test-db",
                *account,
                "--auth-root-authentication-method=normal",
            ]
        )
        port, password = _free_port(), secrets.token_urlsafe(18)
        first = folder / "init.sql"
        first.write_text(f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';\n")
        first.chmod(0o644)
        process = _start(server, folder, port, account)
        try:
            admin = f"mysql://root:{password}@127.0.0.1:{port}"
            _wait(admin, process, folder / "log")
            yield prepare_mysql(admin, dump, writes=writes)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(server: str, folder: Path, port: int, account: list[str]) -> subprocess.Popen[bytes]:
    command = [
        server, "--no-defaults", *account, f"--datadir={folder / 'data'}", f"--socket={folder / 'sock'}",
        f"--pid-file={folder / 'pid'}", f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve=0",
        f"--init-file={folder / 'init.sql'}", f"--secure-file-priv={folder / 'nothing'}", "--local-infile=0",
        "--lower-case-table-names=1", "--sql-mode=STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
        "--max-allowed-packet=2M", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M",
        "--performance-schema=off",
    ]  # fmt: skip
    (folder / "nothing").mkdir()
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - fixed words and paths of ours


def _wait(admin: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            connect(admin).close()
            return
        except InvalidSettingError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-800:]
                raise InvalidSettingError(f"MariaDB didn't start: {error}; its log ends with:\n{said}") from error
        time.sleep(0.1)


def _binary(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise MissingDependencyError(f"a local MariaDB server needs {name}: apt-get install mariadb-server")
    return found


def _account(folder: Path) -> list[str]:
    """Run the server as an unprivileged user, also where this program is root."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "mysql")
    folder.chmod(0o755)
    return ["--user=mysql"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    if done.returncode:
        raise InvalidSettingError(f"{Path(command[0]).name} failed: {(done.stdout + done.stderr)[-800:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
