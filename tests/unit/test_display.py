"""What people see: the plan, the tree and the accounting, and nothing that a model could make a terminal obey."""

import io

import pytest
from rich.console import Console
from worlds import closeness, plan

from langchain_linvit.accounting import Usage
from langchain_linvit.display import MAX_CHILDREN, SearchProgress, plain, plan_view, result_view, tree_view, usage_view
from langchain_linvit.planner.result import PlanResult, PlanStep, TreeNode

HOSTILE = "[bold red]x[/] [link=http://a.b]y[/link] \x1b[31mz\x07\x9b2J \u202eevil \r\n\x00 :skull:"


def shown(view, width=300):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(view)
    return console.file.getvalue()


def result(text="go", children=1, **fields):
    nodes = [TreeNode(id="r", parent=None, text="", decision=0, status="root")]
    nodes += [
        TreeNode(id=f"n{i}", parent="r", text=text, decision=0, status="open", log_prob=-0.5, value=0.25, error=None)
        for i in range(children)
    ]
    step = PlanStep(action=text, observation=text, error=None)
    defaults = {
        "task_id": "t", "goal": text, "outcome": "solved", "reason": text, "plan": [text], "trajectory": [step],
        "tree": nodes, "usage": Usage(llm_calls=7, requests=3), "prior": {text: 3}, "value": text, "notes": [text],
    }  # fmt: skip
    return PlanResult(**{**defaults, **fields})


def hostile_result():
    dead = TreeNode(id="d", parent="r", text=HOSTILE, decision=0, status="dead", error=HOSTILE, observation=HOSTILE)
    made = result(HOSTILE)
    failed = PlanStep(action=HOSTILE, observation=HOSTILE, error=HOSTILE)
    return made.model_copy(update={"tree": [*made.tree, dead], "trajectory": [*made.trajectory, failed]})


def assert_harmless(text):
    assert not any(ord(char) < 32 and char != "\n" for char in text), ascii(text)
    assert not any(char in text for char in "\x9b\u202e")
    assert "💀" not in text


@pytest.mark.parametrize("view", [result_view, plan_view, tree_view, usage_view])
def test_everything_a_model_wrote_is_shown_as_text(view):
    text = shown(view(hostile_result()))
    assert_harmless(text)
    assert "[bold red]x[/]" in text
    assert ":skull:" in text


def test_every_event_of_a_search_is_shown_as_text():
    progress = SearchProgress(HOSTILE)
    for event in [
        {"event": "decision", "decision": 0, "step": 0, "state": HOSTILE},
        {"event": "proposed", "node": HOSTILE, "candidates": [{"text": HOSTILE}]},
        {"event": "simulated", "nodes": [{"text": HOSTILE}] * 2},
        {"event": "valued", "node": HOSTILE, "value": 0.5, "source": HOSTILE, "detail": HOSTILE},
        {"event": "acted", "action": HOSTILE, "observation": HOSTILE, "error": HOSTILE, "solved": False},
        {"event": HOSTILE},
    ]:
        progress.update(event)
    text = shown(progress)
    assert_harmless(text)
    assert "[bold red]x[/]" in text
    assert "1 proposals, 2 states, 1 values" in text
    assert "V = 0.50" in text


def test_a_new_decision_counts_afresh():
    progress = SearchProgress("g")
    progress.update({"event": "policy_tried", "index": 0, "solved": False, "error": None})
    assert "1 episodes" in shown(progress)
    progress.update({"event": "decision", "decision": 0})
    progress.update({"event": "proposed", "candidates": [1, 2]})
    assert "decision 1: 2 proposals" in shown(progress)
    progress.update({"event": "decision", "decision": 1})
    assert "decision 2: thinking" in shown(progress)


def test_huge_texts_are_cut():
    assert len(plain("x" * 10_000_000)) < 160
    assert len(plain(" \n" * 1_000_000)) < 160
    assert len(shown(result_view(result("x" * 1_000_000)))) < 6_000


def test_plain_keeps_words_and_letters_of_any_language():
    assert plain("go  to\nthe Ä 北 room") == "go to the Ä 北 room"
    assert plain("a\x1b[0mb\u200b") == "a�[0mb�"


def test_the_plan_shows_every_step_and_its_error():
    steps = [PlanStep(action="go", observation=""), PlanStep(action="fly", observation="", error="no wings")]
    text = shown(plan_view(result(trajectory=steps, outcome="no_candidates", reason="why")))
    assert "no candidates  why" in text
    assert "1. go" in text
    assert "2. fly  (no wings)" in text


def test_the_tree_shows_numbers_and_counts_what_it_leaves_out():
    text = shown(tree_view(result("go", children=MAX_CHILDREN + 5)))
    assert text.count("go  -0.50, V 0.25") == MAX_CHILDREN
    assert "… and 5 more" in text


def test_a_tree_with_unknown_parents_or_great_depth_is_shown():
    chain = [TreeNode(id=str(i), parent=str(i - 1), text=f"n{i}", decision=0, status="kept") for i in range(300)]
    assert "n0" in shown(tree_view(result(tree=chain)), width=2_000)


def test_the_accounting_shows_what_was_spent():
    text = shown(usage_view(result("x", usage=Usage(llm_calls=7, requests=3, failed_requests=1, seconds=1.5))))
    assert "7 in 3 requests (1 failed)" in text
    assert "1.50" in text


def test_a_real_result_is_shown_whole():
    text = shown(result_view(plan(value=closeness, task="reach 2")))
    assert "solved" in text
    assert text.index("1. go right") < text.index("search (log p") < text.index("accounting")
    assert "search (log p" not in shown(result_view(plan(value=closeness, task="reach 2"), tree=False))
