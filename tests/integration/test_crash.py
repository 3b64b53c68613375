"""A planner that is killed with SIGKILL and resumed in a new process: evals/crash.py in small."""

import pytest

from evals.crash import crash_rows, is_safe, unsaved_calls

pytestmark = pytest.mark.integration


def test_a_killed_search_ends_as_if_nothing_had_happened(tmp_path):
    pytest.importorskip("langgraph.checkpoint.sqlite", reason="needs langgraph-checkpoint-sqlite")
    rows = crash_rows(tmp_path, kills=2, last_actions=1, seed=1)
    assert len(rows) == 3
    for row in rows:
        assert is_safe(row), row
        assert row["calls_uninterrupted"] <= row["calls"]
    assert any(row["killed"] for row in rows)


def test_the_calls_of_units_whose_outcome_is_not_saved_are_in_flight():
    assert unsaved_calls(["call a 3", "call b 1", "saved a", "call b 2", "saved c"]) == 3
