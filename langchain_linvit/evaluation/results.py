"""Results of an experiment on disk: what was run, and a line of JSON for every finished item.

A folder holds `experiment.json` (an `ExperimentInfo`) and `items.jsonl` (an `ItemRecord` a line, in the order in
which they were finished). A line that a killed program left half written is not an item.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_linvit.accounting import Budget
from langchain_linvit.errors import InvalidSettingError, LinvitError, MissingDependencyError
from langchain_linvit.evaluation.rows import Row, summary_row
from langchain_linvit.planner.result import PlanResult

if TYPE_CHECKING:
    import pandas

INFO_FILE = "experiment.json"
ITEMS_FILE = "items.jsonl"


class ExperimentInfo(BaseModel):
    """What was run: enough to tell whether two experiments are about the same items, and to resume one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    benchmark: str
    method: str
    prior: str = Field(description="uniform, novice, recorded, or a model's name; never a key.")
    value: str | None = None
    seed: int = 0
    repetitions: int = 1
    budget: Budget = Field(default_factory=Budget)
    items: list[str] = Field(description="Ids of the tasks, in the order of the dataset.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Further plain settings, for people.")


class ItemRecord(BaseModel):
    """One repetition of one item: scored, also where its run failed."""

    model_config = ConfigDict(extra="forbid")

    item: str = Field(description="The task's id.")
    repetition: int = 0
    text: str = Field(default="", description="What the task says.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Hardness, task type, split and the like.")
    scores: dict[str, float | None] = Field(
        default_factory=dict, description="By evaluator; `success` is always there."
    )
    result: PlanResult | None = Field(default=None, description="None where the run failed, or was no planner's.")
    error: str | None = Field(default=None, description="Why the run failed; it counts as unsolved.")
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, int]:
        """What identifies the record in its experiment."""
        return self.item, self.repetition

    @property
    def trouble(self) -> str | None:
        """Why nothing could be made of the item: its run failed, or its model proposed nothing usable."""
        if self.error is None and self.result is not None and self.result.outcome == "no_candidates":
            return self.result.reason
        return self.error

    @property
    def success(self) -> float:
        """The benchmark's verdict, 0 or 1."""
        return float(self.scores.get("success") or 0.0)


@dataclass(frozen=True)
class ExperimentResults:
    """An experiment's records, in the order of its items and repetitions; missing ones were not run yet."""

    info: ExperimentInfo
    records: list[ItemRecord] = field(default_factory=list)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a folder of results, also one whose experiment was interrupted.

        Raises:
            InvalidSettingError: The folder holds no results, or they can't be read.
        """
        folder = Path(folder)
        try:
            info = ExperimentInfo.model_validate_json((folder / INFO_FILE).read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise InvalidSettingError(f"no experiment in {folder}: {INFO_FILE} is missing or can't be read") from error
        place = {item: number for number, item in enumerate(info.items)}
        found = {record.key: record for record in read_records(folder / ITEMS_FILE) if record.item in place}
        return cls(info, sorted(found.values(), key=lambda record: (place[record.item], record.repetition)))

    @property
    def complete(self) -> bool:
        """Whether every repetition of every item was run."""
        return len(self.records) == len(self.info.items) * self.info.repetitions

    def row(self, note: str = "") -> Row:
        """The experiment as a row of a table; items whose run failed count as unsolved.

        Raises:
            InvalidSettingError: Nothing was run yet.
        """
        if not self.records:
            raise InvalidSettingError(f"the experiment {self.info.name!r} has no finished items yet")
        found = [LinvitError(r.error) if r.error or r.result is None else r.result for r in self.records]
        info = self.info
        return summary_row(found, method=info.method, prior=info.prior, value=info.value, note=note)

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with a row per item and repetition: `item`, `repetition`, `metadata.*`, `score.*`, `error`.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError("to_pandas() needs pandas: pip install pandas") from error
        return pandas.DataFrame([_flat(record) for record in self.records])


def _flat(record: ItemRecord) -> dict[str, Any]:
    return {
        "item": record.item,
        "repetition": record.repetition,
        "outcome": record.result.outcome if record.result is not None else None,
        **{f"metadata.{key}": value for key, value in record.metadata.items()},
        **{f"score.{key}": value for key, value in record.scores.items()},
        "error": record.error,
        "seconds": record.seconds,
    }


def read_records(path: Path) -> Iterator[ItemRecord]:
    """The records of an `items.jsonl`; a last line that was cut short is left out.

    Raises:
        InvalidSettingError: A line before the last is no record.
    """
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            yield ItemRecord.model_validate(json.loads(line))
        except (ValueError, ValidationError) as error:
            if number == len(lines):  # no newline after it: a program was killed while it wrote
                return
            raise InvalidSettingError(f"{path}, line {number}: not an experiment's record") from error
