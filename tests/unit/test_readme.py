"""Every Python snippet of the README runs, in order; every shell command in it is known to a test or to CI."""

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN_BY = {
    "make demo": (".ci/run", "make demo"),
    "make test": (".ci/run", "make test"),
    "make bench": (".ci/run", "make bench"),
    "pip install -e .": ("Makefile", '-e ".[dev,plots,intercode,mcp]"'),
    "linvit solve blocksworld": ("tests/unit/test_cli.py", 'linvit("solve", "blocksworld")'),
    "linvit solve blocksworld --problem problem.pddl --model openai:gpt-4o-mini": (
        "tests/integration/test_cli_openai.py",
        '["solve", "blocksworld", "--problem", problem, "--model", "openai:gpt-4o-mini"',
    ),
    "linvit solve intercode-sql --task 3": (".ci/run", "linvit solve intercode-sql --task 3"),
    "linvit solve intercode-bash --task 1": (".ci/run", "linvit solve intercode-bash --task 1"),
    "linvit solve alfworld --seed 3": (".ci/run", "linvit solve alfworld --seed 3"),
    "python -m tools.blocksworld --problem problem.pddl": (
        "tests/integration/test_mcp.py",
        '["-m", "tools.blocksworld", "--problem", str(problem)]',
    ),
    "python -m evals.blocksworld --limit 2 --priors novice-0": (
        "tests/unit/test_evals.py",
        '["--limit", "2", "--priors", "novice-0"',
    ),
    "python -m evals.paper_tables --quick": (".ci/run", "python -m evals.paper_tables --quick"),
    "python -m evals.theory --quick": (".ci/run", "python -m evals.theory --quick"),
    "linvit eval blocksworld --method slinvit --method greedy --limit 6 --budget 40 --out runs --report report.html": (
        "tests/unit/test_cli.py",
        "--method slinvit --method greedy --limit 6 --budget 40 --out runs --report report.html",
    ),
    "linvit compare results/slinvit results/greedy --by optimal_steps": (
        "tests/unit/test_cli.py",
        '"compare results/slinvit results/greedy --by optimal_steps',
    ),
    "linvit report results/slinvit results/greedy --out report.html --markdown report.md": (
        "tests/unit/test_cli.py",
        '"report results/slinvit results/greedy --out report.html --markdown report.md"',
    ),
    "python -m evals.agents --limit 2": ("tests/unit/test_evals.py", 'agents.main(["--limit", "2"'),
}
"""Where each shell command of the README is run."""


TITLES = re.findall(r"^## (.+)$", README, re.MULTILINE)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python_snippets_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    namespace = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for snippet in blocks("python"):
            exec(compile(snippet, "README.md", "exec"), namespace)
    text = printed.getvalue()
    assert "solved in 6 steps" in text or "solved:" in text
    assert "solved ['go right', 'go right', 'go right']" in text
    assert "(('go right', 'you are in cell 1'), ('go right', 'you are in cell 2')) True" in text
    assert "'event': 'acted'" in text
    assert "slinvit against greedy" in text
    assert (tmp_path / "report.html").is_file()


def test_every_snippet_takes_under_twenty_lines():
    assert max(len(block.strip().splitlines()) for block in blocks("python")) < 20


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)(.+?)\)", README):
        path, _, anchor = target.partition("#")
        assert not path or (ROOT / path).exists(), target
        titles = {re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in TITLES}
        assert not anchor or anchor in titles, target


def test_shell_commands_are_run_somewhere():
    commands = {line.strip() for block in blocks("bash") for line in block.splitlines() if line.strip()}
    assert commands == set(RUN_BY)
    for command, (file, words) in RUN_BY.items():
        assert words in (ROOT / file).read_text(encoding="utf-8"), command


def test_the_layout_names_what_is_there():
    for paths in re.findall(r"^\| (`.+?`) \|", README, re.MULTILINE):
        folder = ""
        for path in re.findall(r"`(.+?)`", paths):
            folder = str(Path(path).parent) if "/" in path.rstrip("/") else folder
            assert (ROOT / path).exists() or (ROOT / folder / path).exists(), path
