"""InterCode-Bash's logs as their scripts ran: what a failing action showed, on which file system, and what differs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.intercode_replay import ReplayedStep, TaskOf
from langchain_linvit.environments.base import Task, Transition
from langchain_linvit.environments.intercode import BashEnvironment
from langchain_linvit.environments.intercode.sandbox import Completed

TIMED_OUT, MALFORMED = "Command timed out", "Malformed command"
"""InterCode's observations of a command that took ten seconds, and of one that can't be split, or whose output
isn't UTF-8."""
_SHOWN = 100_000_000
_LOG_CUT, _KEPT = 600, 350
"""Characters of an observation that the logs keep; the script of ReAct kept fewer."""

_START = r"(?:^|[|;&(`]|\bxargs\b|\bthen\b|\bdo\b)\s*"
_ROOT = re.compile(
    r"\b(?:find|grep -\w*[rR]\w*|du|ls|tree)\b[^|;]*?\s(?:/|\.|\*|/\*|\$\{?\w+\}?)(?:\s|$)|\bfind (?:-|\|)"
)
_SYSTEM = re.compile(r"(?<!\w)/(?:proc|sys|usr|var|etc|bin|lib|home|root|dev(?!/null)|boot|opt|run|sbin|tmp)\b|\$PATH")
_WHICH = re.compile(r"\bwhich\b|\btype -|\bcommand -v\b")
_CLOCK = re.compile(
    r"-[acm](?:time|min)\b|-newer|\bls\b[^|]*\s-\w*[lt]|\b(?:stat|date|cal|touch|tar|gzip|zip)\b|-ls\b|%[TtACc]"
)
_MACHINE = re.compile(
    _START + r"(?:df|free|ps|pstree|top|uname|hostname|ifconfig|ip|netstat|ping|dig|nslookup|host|curl|wget|who|w|last|"
    r"uptime|mount|env|printenv|id|groups|users|jobs|lsof|history|set|screen|bind|stty|whoami|shopt|nproc)\b"
)
_BACKGROUND = re.compile(r"(?<![&>])&(?![&>\d])")
_PATH = re.compile(r"\S*/\S+")
_ABSENT = re.compile(r"(\S+): command not found")
_ERROR = re.compile(r"error|cannot|unexpected|fatal|no such|denied|not found|invalid|: line \d", re.IGNORECASE)


class ScriptedBash(BashEnvironment):
    """As InterCode's scripts see it: an action that can't be run is an observation too, and is judged."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(quoting="intercode", shown_characters=_SHOWN, **settings)

    def step(self, action: str) -> Transition:
        """Run one command line; what stopped it is InterCode's observation of that, and no error."""
        transition = super().step(action)
        if transition.error is not None:
            self._exit_code = 1
            self._output = _scripts_observation(action, transition.error)
        return Transition(self._output or "", done=transition.done)

    def _observe(self, completed: Completed) -> Transition:
        try:
            completed.output.decode("utf-8")
        except UnicodeDecodeError:
            completed = Completed(completed.exit_code, MALFORMED.encode())
        return super()._observe(completed)


def _scripts_observation(action: str, error: str) -> str:
    if not action.strip():
        return ""  # an empty command is carried out there
    return TIMED_OUT if "stopped and undone" in error else MALFORMED


def recorded_on(log: str, task: int, file_system: int) -> int:
    """Which file system an episode was really recorded on: its observations show it.

    Both logs of file system 2 have `ls /` list `setup_nl2b_fs_1.sh` and `/testbed`, and `/system` missing: ReAct's in
    all of its episodes, Plan & Solve's in the first 31. Its later ones list `/system` and its files.
    """
    strays = file_system == 2 and ("react" in log or ("plan_solve" in log and task <= 30))
    return 1 if strays else file_system


def replayed_task(tasks: Sequence[Task], log_task: TaskOf) -> TaskOf:
    """The task of an episode, on the file system that it was recorded on."""
    setups = {task.metadata["file_system"]: task.data["file_system"] for task in tasks}

    def task_of(path: Path, episode: dict[str, Any]) -> Task | None:
        task = log_task(path, episode)
        if task is None:
            return None
        number = recorded_on(path.name, int(episode["task_id"]), task.metadata["file_system"])
        return task.model_copy(update={"data": {**task.data, "file_system": setups.get(number)}})

    return task_of


def cause(step: ReplayedStep, task: Task) -> str:
    """Why a step's reward differs, told from both outputs, the action and the gold: the first that applies.

    A rule names what the commands depend on, and is no proof that this alone made the difference.
    """
    gold, here = str(task.data["gold"]), step.output
    commands = f"{step.action}\n{gold}"
    if TIMED_OUT in (step.observation, here):
        return "ran out of time in one of both"
    if _programs(step) or _WHICH.search(commands):
        return "a program that only one of both has"
    if _BACKGROUND.search(gold):
        return "the gold leaves a job in the background"
    if _ROOT.search(commands) or _SYSTEM.search(commands):
        return "files outside of the task's folders"
    if _CLOCK.search(commands):
        return "times of files, the clock, or archives"
    if _MACHINE.search(commands):
        return "state of the machine, or the network"
    if same_words(step):
        return "same output; the log's gold or files differed"
    if _PATH.sub("", here) == _PATH.sub("", step.observation):
        return "another file of a folder comes first"
    if _ERROR.search(here) and _ERROR.search(step.observation):
        return "wording of error messages"
    return "another output"


def _programs(step: ReplayedStep) -> set[str]:
    """Programs of the action that one side has and the other lacks."""
    different = set(_ABSENT.findall(step.observation)) ^ set(_ABSENT.findall(step.output[:_LOG_CUT]))
    return {name for name in different if re.search(rf"(^|[|;&(\s]){re.escape(name)}\s", step.action)}


def same_words(step: ReplayedStep) -> bool:
    """Whether both outputs have the same words as far as the log keeps them: InterCode ignores their order."""
    ours, logged = step.output, step.observation
    if sorted(ours.split()) == sorted(logged.split()):
        return True
    return len(logged) >= _KEPT and ours.startswith(logged)
