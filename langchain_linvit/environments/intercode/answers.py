"""The statement or command in what a model wrote: fenced, marked, wrapped or plain."""

from __future__ import annotations

import re

from langchain_linvit.environments.base import ParsedAction, shorten

_FENCE = re.compile(r"```[ \t]*(?:sql|mysql|sqlite|bash|sh|shell)?[ \t]*\n?(.*?)```", re.DOTALL | re.IGNORECASE)
_MARK = re.compile(r"^\W*action(?:\s+\d+)?\W*?:[ \t]*", re.IGNORECASE | re.MULTILINE)
_WRAPPED = re.compile(r"execute\[(.*)\]", re.DOTALL | re.IGNORECASE)


def extract_code(text: str, *, limit: int, submit: str) -> ParsedAction:
    """The last code block of `text`, else what follows its last `Action:`, else all of it.

    `execute[...]` (as ReAct prompts of InterCode write it) and quotes around the whole are taken off; a
    block that holds nothing but prose is not told from code here: running it says what is wrong.
    """
    marks = list(_MARK.finditer(text))
    part = text[marks[-1].end() :] if marks else text
    blocks = _FENCE.findall(part) or _FENCE.findall(text)
    code = _unwrapped((blocks[-1] if blocks else part).strip())
    if not code:
        return ParsedAction(None, "the answer is empty; reply with one line `Action: <action>`")
    if code.strip(" .;`\"'").lower().startswith(submit) and len(code) <= len(submit) + 4:
        return ParsedAction(submit)
    if len(code) > limit:
        return ParsedAction(None, f"the action {shorten(code, 60)!r} is longer than {limit} characters")
    return ParsedAction(code)


def _unwrapped(code: str) -> str:
    wrapped = _WRAPPED.fullmatch(code)
    if wrapped:
        code = wrapped[1].strip()
    if len(code) > 1 and code[0] == code[-1] == "`" and "`" not in code[1:-1]:
        code = code[1:-1]
    return code.strip()
