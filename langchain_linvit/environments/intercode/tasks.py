"""The tasks of InterCode: the sets that its package ships, and any file of their shape."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode.official import dataset, setup_script
from langchain_linvit.errors import InvalidTaskError


def sql_tasks(path: str | Path | None = None) -> list[Task]:
    """The InterCode-SQL tasks of a file, in its order; their ids count from 0.

    Args:
        path: A `.csv` or `.json` file of records with `query`, `gold` and `db` (InterCode's
            `ic_spider_dev.json` has 1034); None for the 23 of the package.

    Raises:
        InvalidTaskError: The file is not of that shape; the message names the record.
        MissingDependencyError: The package is not installed.
    """
    source = Path(path) if path is not None else dataset("sql_queries.csv")
    tasks = []
    for number, record in enumerate(_records(source)):
        database = record.get("db") or record.get("extra", {}).get("db")
        if not database:
            raise InvalidTaskError(f"record {number} of {source.name} has no 'db', the database of its question")
        data = {"gold": str(record["gold"]), "db": str(database)}
        metadata = {key: record[key] for key in ("hardness",) if key in record}
        tasks.append(Task(id=str(number), text=record["query"].strip(), data=data, metadata=metadata))
    return tasks


def bash_tasks(path: str | Path | None = None, *, setup: str | Path | None = None, prefix: str = "") -> list[Task]:
    """The InterCode-Bash tasks of a file, in its order; their ids are `prefix` and the number, from 0.

    Args:
        path: A `.json` or `.csv` file of records with `query` and `gold`; None for the 24 of the package.
        setup: The set-up script of their file system; by default the package's own.
        prefix: What the ids begin with.

    Raises:
        InvalidTaskError: The file is not of that shape; the message names the record.
        MissingDependencyError: The package is not installed.
    """
    source = Path(path) if path is not None else dataset("bash_queries.json")
    script = str(setup if setup is not None else setup_script())
    return [
        Task(
            id=f"{prefix}{number}",
            text=record["query"].strip(),
            data={"gold": str(record["gold"]), "file_system": script},
        )
        for number, record in enumerate(_records(source))
    ]


def nl2bash_tasks(intercode_dir: str | Path) -> list[Task]:
    """The 200 InterCode-Bash tasks of a clone of the InterCode repository, on its four file systems.

    Ids are `fs1-0` to `fs4-26`; the file system of each is built by the clone's own set-up script.

    Raises:
        InvalidTaskError: The folder is no such clone; the message names the missing file.
    """
    root = Path(intercode_dir)
    tasks = []
    for number in (1, 2, 3, 4):
        queries = root / "data" / "nl2bash" / f"nl2bash_fs_{number}.json"
        script = root / "docker" / "bash_scripts" / f"setup_nl2b_fs_{number}.sh"
        if not script.is_file():
            raise InvalidTaskError(f"{root} is no clone of the InterCode repository: it has no {script.name}")
        tasks += [
            task.model_copy(update={"metadata": {"file_system": number}})
            for task in bash_tasks(queries, setup=script, prefix=f"fs{number}-")
        ]
    return tasks


def _records(source: Path) -> list[dict[str, Any]]:
    try:
        text = source.read_text(encoding="utf-8")
        records = list(csv.DictReader(io.StringIO(text))) if source.suffix == ".csv" else json.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidTaskError(f"can't read tasks from {source}: {error}") from error
    if not isinstance(records, list) or not records:
        raise InvalidTaskError(f"{source} holds no list of tasks")
    for number, record in enumerate(records):
        if not isinstance(record, dict) or not {"query", "gold"} <= set(record):
            raise InvalidTaskError(f"record {number} of {source.name} needs 'query' and 'gold'")
    return records
