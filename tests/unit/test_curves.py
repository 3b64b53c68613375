"""Success against cost and by group: shares that can be counted by hand."""

import re

import pytest
from experiments import experiment, outcomes

from langchain_linvit.accounting import Usage
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import success_curves
from langchain_linvit.evaluation.charts import bar_chart, line_chart, nice_ticks
from langchain_linvit.evaluation.curves import group_rates
from langchain_linvit.evaluation.results import ExperimentResults, ItemRecord
from langchain_linvit.evaluation.summary import experiment_row, grouping_keys
from langchain_linvit.planner.result import PlanResult


def spent(item, solved, calls):
    usage = Usage(llm_calls=calls)
    plan = PlanResult(task_id=item, goal="g", outcome="done", plan=[], trajectory=[], usage=usage)
    return ItemRecord(item=item, scores={"success": float(solved)}, result=plan)


def points(curve):
    return [(point.x, point.y) for point in curve.points]


def test_a_run_is_solved_from_what_it_cost_on():
    results = outcomes("a", "1110")
    results.records[:] = [spent("0", 1, 7), spent("1", 1, 3), spent("2", 0, 20), spent("3", 1, 3)]
    (curve,) = success_curves([results])
    assert points(curve) == [(0, 0), (3, 0.5), (7, 0.75), (20, 0.75)]
    assert not curve.by_budget


def test_what_needs_no_call_is_solved_from_the_start():
    results = outcomes("a", "10")
    results.records[:] = [spent("0", 1, 0), spent("1", 0, 0)]
    assert points(success_curves([results])[0]) == [(0, 0.5)]


def test_failed_runs_count_as_unsolved_and_unknown_costs_are_said():
    results = outcomes("a", "110")  # these have no result, and so no cost
    results.records[2] = spent("2", 1, 5)
    (curve,) = success_curves([results])
    assert points(curve) == [(0, 0), (5, 1 / 3)]
    assert curve.unplaced == 2


def test_a_method_at_several_budgets_is_one_curve_of_points():
    small, large = (outcomes("m", marks, budget={"completions": n}) for n, marks in ((4, "1000"), (16, "1110")))
    once = outcomes("other", "1000")
    curve, other = success_curves([large, small, once])
    assert points(curve) == [(4, 0.25), (16, 0.75)]
    assert curve.by_budget
    assert curve.points[0].low < 0.25 < curve.points[0].high
    assert (curve.label, other.label, other.by_budget) == ("m", "other", False)


def test_real_runs_keep_to_their_budget():
    curve, _ = success_curves([experiment("slinvit", completions=n) for n in (3, 9)] + [experiment("greedy")])
    assert [point.x for point in curve.points] == [3, 9]
    assert curve.points[0].y < curve.points[1].y


def test_an_unknown_cost_is_an_error():
    with pytest.raises(InvalidSettingError, match="env_steps"):
        success_curves([outcomes("a", "1")], against="money")


def test_success_by_group():
    slinvit, greedy = group_rates([experiment("slinvit"), experiment("greedy")], "optimal_steps")
    assert list(slinvit.rates) == ["2", "4", "6"]
    assert slinvit.n == {"2": 3, "4": 3, "6": 3}
    assert slinvit.rates["2"].estimate == 1
    assert greedy.label == "greedy"


def test_long_names_of_groups_are_wrapped_and_told_whole():
    results = outcomes("a", "1" * 12)
    for number, record in enumerate(results.records):
        record.metadata["task_type"] = f"pick_clean_then_place_in_receptacle_{number % 6}"
    chart = bar_chart(group_rates([results], "task_type"), [0], title="t", x_label="task_type")
    texts = re.findall(r'<text class="tick"[^>]*>([^<]*)<title>([^<]*)', chart)
    assert len({title for _, title in texts}) == 6
    assert all(len(line) <= 13 for line, _ in texts)
    assert ("pick clean", "pick_clean_then_place_in_receptacle_0") in texts


def test_a_grouping_has_a_few_values_and_not_one_per_item():
    results = outcomes("a", "1" * 40)
    for number, record in enumerate(results.records):
        odd = number % 2
        record.metadata.update(number=number, kind="odd" if odd else "even", half=number < 20, split="test", tags=["x"])
        record.metadata["same as kind"] = odd
    assert grouping_keys([results]) == ["kind", "half"]


def test_a_row_of_an_experiment():
    row = experiment_row(experiment("slinvit"))
    records = experiment("slinvit").records
    assert row.solved == sum(record.success for record in records)
    assert row.llm_calls == pytest.approx(sum(r.result.usage.llm_calls for r in records) / 9, abs=1e-4)
    assert row.interval.low < row.success < row.interval.high
    assert row.provenance == {"exact": sum(r.result.prior["exact"] for r in records)}
    assert (row.sees_verdict, row.errors, row.missing) == (False, 0, 0)
    assert experiment_row(experiment("slinvit_oracle")).sees_verdict


def test_an_interrupted_experiment_says_what_is_missing():
    results = outcomes("a", "110", repetitions=2)
    row = experiment_row(ExperimentResults(results.info, results.records[:2]))
    assert (row.n, row.missing) == (2, 4)


@pytest.mark.parametrize("right", [0.004, 1, 7, 12, 25, 99, 1234])
def test_ticks_are_round_and_reach_the_end(right):
    ticks = nice_ticks(right)
    assert ticks[0] == 0
    assert ticks[-2] < right <= ticks[-1] * 1.0001
    assert 3 <= len(ticks) <= 8


def test_far_apart_costs_get_a_logarithmic_axis():
    near, far = outcomes("a", "11"), outcomes("b", "11")
    near.records[:] = [spent("0", 1, 3), spent("1", 1, 9)]
    far.records[:] = [spent("0", 1, 30), spent("1", 1, 9000)]
    chart = line_chart(success_curves([near, far]), [0, 1], title="t", x_label="calls")
    assert "calls (logarithmic)" in chart
    assert ">10,000<" in chart
    assert "logarithmic" not in line_chart(success_curves([near]), [0], title="t", x_label="calls")
