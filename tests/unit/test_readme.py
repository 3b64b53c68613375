"""Every Python snippet of the README runs, in order; every shell command in it is known to a test or to CI."""

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN_ELSEWHERE = {
    "make demo": ".ci/run",
    "make test": ".ci/run",
    "make bench": "Makefile",
    "pip install langchain-linvit": "the package is built by `make test` through pip",
    "linvit solve blocksworld": "test_cli.py",
    "linvit solve blocksworld --problem problem.pddl --model openai:gpt-4o-mini": "test_cli_openai.py",
    "python -m evals.blocksworld --limit 3 --priors novice-0": "test_evals.py",
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python_snippets_run_in_order():
    namespace = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for snippet in blocks("python"):
            exec(compile(snippet, "README.md", "exec"), namespace)
    text = printed.getvalue()
    assert "solved in 6 steps" in text or "solved:" in text
    assert "solved ['go right', 'go right', 'go right']" in text
    assert "'event': 'acted'" in text


def test_the_first_environment_takes_under_thirty_lines():
    snippet = next(block for block in blocks("python") if "class Corridor" in block)
    assert len(snippet.strip().splitlines()) < 30


def test_shell_commands_are_run_somewhere():
    commands = {line.strip() for block in blocks("bash") for line in block.splitlines() if line.strip()}
    assert commands == set(RUN_ELSEWHERE)


def test_the_layout_names_what_is_there():
    for paths in re.findall(r"^\| (`.+?`) \|", README, re.MULTILINE):
        folder = ""
        for path in re.findall(r"`(.+?)`", paths):
            folder = str(Path(path).parent) if "/" in path.rstrip("/") else folder
            assert (ROOT / path).exists() or (ROOT / folder / path).exists(), path
