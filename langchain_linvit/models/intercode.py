"""Scripted proposals for a few of InterCode's tasks: what the applications play without a model or a recording.

They were written by hand, right ones and wrong ones, to show what the planner does with them. They are no
model's, and no result may be measured with them: their model is called `intercode-scripted`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import BaseMessage

from langchain_linvit.environments.base import shorten
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.policy import PolicyChatModel
from langchain_linvit.models.recorded import NOTHING_RECORDED
from langchain_linvit.models.replies import ToolSchema
from langchain_linvit.prompts import last_block, request_kind

SQL_SCRIPTS: Final[dict[str, dict[str, float]]] = {
    "Find the number of dog pets that are raised by female students (with sex F).": {
        "SELECT COUNT(*) FROM student WHERE sex = 'F'": 3,
        "SELECT COUNT(*) FROM student s JOIN has_pet h ON s.StuID = h.StuID JOIN pets p ON h.PetID = p.PetID "
        "WHERE s.Sex = 'F' AND p.PetType = 'dog'": 2,
        "SELECT COUNT(p.PetID) FROM pets p JOIN has_pet h ON h.PetID = p.PetID JOIN student s ON s.StuID = h.StuID "
        "WHERE p.PetType = 'dog' AND s.Sex = 'F'": 2,
        "SELECT COUNT(*) FROM dogs WHERE owner_sex = 'F'": 2,
    },
    "Find the major and age of students who do not have a cat pet.": {
        "SELECT s.Major, s.Age FROM student s JOIN has_pet h ON s.StuID = h.StuID JOIN pets p ON h.PetID = p.PetID "
        "WHERE p.PetType != 'cat'": 3,
        "SELECT Major, Age FROM student WHERE StuID NOT IN "
        "(SELECT h.StuID FROM has_pet h JOIN pets p ON h.PetID = p.PetID WHERE p.PetType = 'cat')": 2,
        "SELECT s.Major, s.Age FROM student s WHERE NOT EXISTS (SELECT 1 FROM has_pet h JOIN pets p "
        "ON h.PetID = p.PetID WHERE p.PetType = 'cat' AND h.StuID = s.StuID)": 2,
        "SELECT Major, Age FROM student EXCEPT SELECT s.Major, s.Age FROM student s NATURAL JOIN has_pet "
        "NATURAL JOIN pets p WHERE p.PetType = 'cat'": 1,
        "SELECT major, age FROM students WHERE pet <> 'cat'": 1,
    },
    "Find the first name of students who have cat or dog pet.": {
        "SELECT s.Fname FROM student s JOIN has_pet h ON s.StuID = h.StuID": 2,
        "SELECT DISTINCT s.Fname FROM student s JOIN has_pet h ON s.StuID = h.StuID JOIN pets p ON h.PetID = p.PetID "
        "WHERE p.PetType IN ('cat', 'dog')": 2,
        "SELECT DISTINCT Fname FROM student NATURAL JOIN has_pet NATURAL JOIN pets "
        "WHERE PetType = 'cat' OR PetType = 'dog'": 2,
    },
}
"""Weights of proposals by question: InterCode-SQL tasks 2 to 4 of the package."""

BASH_SCRIPTS: Final[dict[str, dict[str, float]]] = {
    "Count the number of files and directories in the entire testbed directory": {
        "ls /testbed | wc -l": 3,
        "find /testbed | wc -l": 2,
        "find /testbed -print | wc -l": 2,
        "find testbed | grep -c .": 1,
        "count /testbed": 1,
    },
    "Print the line number and contents of all lines containing the string 'value3' in the file "
    "/testbed/dir1/subdir1/jsonfile1.json": {
        "grep value3 /testbed/dir1/subdir1/jsonfile1.json": 3,
        "grep -n value3 /testbed/dir1/subdir1/jsonfile1.json": 2,
        "grep -n 'value3' testbed/dir1/subdir1/jsonfile1.json": 2,
        "sed -n '/value3/p' /testbed/jsonfile1.json": 1,
    },
    "Print the last 10 lines of the file /testbed/dir3/subdir1/subsubdir1/textfile3.txt": {
        "tail -n 10 /testbed/dir3/subdir1/textfile3.txt": 2,
        "tail /testbed/dir3/subdir1/subsubdir1/textfile3.txt": 2,
        "tail -n 10 /testbed/dir3/subdir1/subsubdir1/textfile3.txt": 2,
    },
}
"""Weights of proposals by request: InterCode-Bash tasks 1, 20 and 18 of the package."""

_SCRIPTS: Final = {"sql": SQL_SCRIPTS, "bash": BASH_SCRIPTS}
_SUBMIT_SHARE: Final = 0.8


@dataclass(frozen=True)
class ScriptedProposals:
    """A policy that proposes a question's scripted actions, and mostly `submit` once one was carried out."""

    kind: str

    def __call__(self, messages: Sequence[BaseMessage], tools: Sequence[ToolSchema]) -> Mapping[Any, float]:
        """Replies of the form `Action: ...`.

        Raises:
            InvalidSettingError: The request is not for an action, or there is no script for its question.
        """
        del tools
        if request_kind(messages) in {"plan", "reflect"}:
            return {NOTHING_RECORDED: 1.0}
        if request_kind(messages) not in (None, "next action"):
            raise InvalidSettingError(
                "the scripted proposals only answer requests for an action: leave the value at its default, or name a "
                "chat model"
            )
        question = (last_block(messages, "goal") or "").strip()
        script = _SCRIPTS[self.kind].get(question)
        if script is None:
            raise InvalidSettingError(
                f"there are no scripted proposals for {shorten(question)!r}; name a chat model (--model), "
                f"or take one of: {'; '.join(_SCRIPTS[self.kind])}"
            )
        total = sum(script.values())
        state = last_block(messages, "state") or ""
        answered = "Rows of the last query:" in state or "Last output:" in state
        left = 1 - _SUBMIT_SHARE if answered else 1.0
        replies = {f"Action: {action}": left * weight / total for action, weight in script.items()}
        return {"Action: submit": _SUBMIT_SHARE, **replies} if answered else replies


def intercode_model(kind: str, **fields: Any) -> PolicyChatModel:
    """The scripted proposals as a chat model.

    Args:
        kind: `sql` or `bash`.
        **fields: Fields of `PolicyChatModel`.

    Raises:
        InvalidSettingError: There is no such kind.
    """
    if kind not in _SCRIPTS:
        raise InvalidSettingError(f"no scripted proposals for {kind!r}; there are {', '.join(_SCRIPTS)}")
    return PolicyChatModel(**{"policy": ScriptedProposals(kind), "model": "intercode-scripted", **fields})
