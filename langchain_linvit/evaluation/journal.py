"""The record of an experiment while it runs: on disk as items are finished, and what an earlier run left there."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.results import INFO_FILE, ITEMS_FILE, ExperimentInfo, ExperimentResults, ItemRecord

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET_LOOKS = re.compile(r"\b(?:sk|pk|lsv2|hf|ghp|gsk|xai|AIza)[-_][A-Za-z0-9_*-]{12,}")
_SHORTEST_SECRET = 8
_PARTIAL = ".partial"
HIDDEN_SECRET = "[hidden]"  # noqa: S105 - what stands in a secret's place


class Journal:
    """The records of one experiment, in memory and, where it has a folder, in its files.

    Args:
        info: What is run.
        folder: Where the files lie; None keeps the records in memory only.
        records: Those that are finished already.
        secrets: Keys that must not be written, beside those in environment variables.
    """

    def __init__(
        self, info: ExperimentInfo, folder: Path | None, records: Iterable[ItemRecord] = (),
        secrets: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.info = info
        self._folder = folder
        self._records = {record.key: record for record in records}
        self._lock = threading.Lock()
        self._hide = _SecretFilter(secrets)

    @classmethod
    def open(
        cls, info: ExperimentInfo, folder: str | Path | None, *, retry_errors: bool = False, secrets: Iterable[str] = ()
    ) -> Self:
        """A new journal, or the one that an interrupted run of the same experiment left in `folder`.

        Args:
            info: What is to be run.
            folder: Where the files lie; it is made where it is missing.
            retry_errors: Whether items whose run failed are to be run again.
            secrets: Keys that must not be written, beside those in environment variables.

        Raises:
            InvalidSettingError: The folder holds another experiment, or can't be written.
        """
        if folder is None:
            return cls(info, None, secrets=secrets)
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / INFO_FILE).exists():
                if any(path.suffix != _PARTIAL for path in folder.iterdir()):
                    raise InvalidSettingError(f"{folder} is not empty and holds no experiment; name another folder")
                _write(folder / INFO_FILE, info.model_dump_json(indent=1) + "\n")
                return cls(info, folder, secrets=secrets)
            found = ExperimentResults.load(folder)
            _check_same(found.info, info, folder)
            _drop_cut_line(folder / ITEMS_FILE)
        except OSError as error:
            raise InvalidSettingError(f"results can't be kept in {folder}: {error.strerror}") from error
        kept = [record for record in found.records if not (retry_errors and record.error)]
        return cls(info, folder, kept, secrets)

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._records

    @property
    def records(self) -> list[ItemRecord]:
        """Those that are finished."""
        return list(self._records.values())

    @property
    def results(self) -> ExperimentResults:
        """Everything that is finished, in the order of the items."""
        place = {item: number for number, item in enumerate(self.info.items)}
        ordered = sorted(self._records.values(), key=lambda record: (place[record.item], record.repetition))
        return ExperimentResults(self.info, ordered)

    def add(self, record: ItemRecord) -> None:
        """Keep a finished item, on disk before anything else happens."""
        written = record.model_dump_json()
        line = self._hide(written)
        with self._lock:
            self._records[record.key] = record if line == written else ItemRecord.model_validate_json(line)
            if self._folder is not None:
                with (self._folder / ITEMS_FILE).open("a", encoding="utf-8") as items:
                    items.write(line + "\n")


class _SecretFilter:
    """Replaces keys, as an error message of a provider may quote them, in a line of JSON."""

    def __init__(self, known: Iterable[str]) -> None:
        named = {*known, *(value for name, value in os.environ.items() if _SECRET_NAME.search(name))}
        secrets = sorted((json.dumps(value)[1:-1] for value in named if len(value) >= _SHORTEST_SECRET), key=len)
        self._values = re.compile("|".join(map(re.escape, reversed(secrets)))) if secrets else None

    def __call__(self, line: str) -> str:
        line = self._values.sub(HIDDEN_SECRET, line) if self._values else line
        return _SECRET_LOOKS.sub(HIDDEN_SECRET, line)


def _check_same(found: ExperimentInfo, wanted: ExperimentInfo, folder: Path) -> None:
    here, asked = (json.loads(info.model_dump_json(exclude={"name"})) for info in (found, wanted))
    different = [name for name in here if here[name] != asked[name]]
    if different:
        shown = "; ".join(f"{name} is {_brief(here[name])}, not {_brief(asked[name])}" for name in different)
        raise InvalidSettingError(
            f"{folder} holds another experiment: {shown}. Name another folder, or delete this one"
        )


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:120]}…"


def _drop_cut_line(path: Path) -> None:
    """A line that a killed program left half written would spoil the next one."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as items:
                items.truncate(whole)


def _write(path: Path, text: str) -> None:
    """All of a file or nothing of it."""
    partial = path.with_name(path.name + _PARTIAL)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
