"""The page `docs/evaluation.md`: its snippets run, and its lists are those of the code."""

import re
from pathlib import Path

import pytest

from langchain_linvit.evaluation import METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_the_snippets_of_the_page_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("agentevals", reason="needs agentevals")
    pytest.importorskip("pandas", reason="needs pandas")
    monkeypatch.chdir(tmp_path)
    session = {}
    for number, snippet in enumerate(re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE), 1):
        exec(compile(snippet, f"evaluation.md, snippet {number}", "exec"), session)
    assert len(session["frame"]) == len(session["again"].records) == 6
    assert (tmp_path / "runs" / "slinvit" / "items.jsonl").read_text().count("\n") == 6
    assert "method='optimal' prior='own' value=None n=6 solved=6" in capsys.readouterr().out


def test_every_metric_is_on_the_page():
    assert all(f"`{name}`" in PAGE for name in METRICS)
