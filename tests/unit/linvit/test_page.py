"""The page `docs/linvit.md`: its snippets run, from top to bottom, in one session."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "linvit.md"


def test_the_snippets_of_the_page_run(capsys):
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(snippets) >= 7
    session = {}
    for number, snippet in enumerate(snippets, 1):
        exec(compile(snippet, f"{PAGE.name}, snippet {number}", "exec"), session)
    assert "nats" in capsys.readouterr().out


def test_the_picture_of_the_page_exists():
    for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).is_file()
