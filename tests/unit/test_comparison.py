"""Paired comparisons: known values of the statistics, pairing by item, and what stands in the way of fairness."""

import json

import numpy as np
import pytest
import rich
from experiments import experiment, outcomes, written

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import compare
from langchain_linvit.evaluation.results import ExperimentResults, ItemRecord
from langchain_linvit.evaluation.statistics import mcnemar, mean_interval, share_interval


def only(comparison):
    (pair,) = comparison.against
    return pair


@pytest.fixture(scope="module")
def searched_against_greedy():
    return compare(experiment("slinvit"), experiment("greedy"), by="optimal_steps", resamples=999)


def test_mcnemar_on_a_published_table():
    """Fay (R Journal 2010/1, on exact tests and matching intervals): 21, 9, 2 and 12 pairs give p = 0.06543."""
    first = [1] * 21 + [1] * 9 + [0] * 2 + [0] * 12
    second = [1] * 21 + [0] * 9 + [1] * 2 + [0] * 12
    found = mcnemar(first, second)
    assert (found.both, found.only_first, found.only_second, found.neither) == (21, 9, 2, 12)
    assert found.p_value == pytest.approx(0.06543, abs=5e-6)


def test_methods_that_solve_the_same_items_do_not_differ():
    assert mcnemar([1, 0, 1], [1, 0, 1]).p_value == 1


def test_wilson_interval_on_a_published_value():
    """Newcombe (Statistics in Medicine 1998, table I): 81 of 263 gives 0.2553 to 0.3662; 0 of 20 reaches 0.1611."""
    found = share_interval(81, 263)
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert share_interval(0, 20).high == pytest.approx(0.1611, abs=5e-5)


def test_bootstrap_intervals_cover_the_truth_as_often_as_they_say():
    random = np.random.default_rng(5)
    trials, truth = 200, 0.2
    samples = random.choice([-1.0, 0.0, 1.0], p=[0.15, 0.5, 0.35], size=(trials, 60))
    found = [mean_interval(sample, resamples=400, confidence=0.9, seed=1) for sample in samples]
    covered = sum(each.low <= truth <= each.high for each in found) / trials
    assert 0.84 <= covered <= 0.95  # 0.9, within two and a half standard errors


def test_equal_differences_have_no_bounds():
    found = mean_interval([2.0, 2.0, 2.0])
    assert (found.estimate, found.low, found.high) == (2.0, None, None)


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    values = list(np.random.default_rng(0).normal(size=40))
    assert mean_interval(values, seed=3, resamples=500) == mean_interval(values, seed=3, resamples=500)
    assert mean_interval(values, seed=3, resamples=500) != mean_interval(values, seed=4, resamples=500)


def test_differences_are_the_first_minus_the_second():
    pair = only(compare(outcomes("a", "11110000"), outcomes("b", "11000001"), resamples=500))
    assert pair.success.difference.estimate == pytest.approx(1 / 8)
    assert (pair.mcnemar.only_first, pair.mcnemar.only_second) == (2, 1)
    assert (pair.mcnemar.both, pair.mcnemar.neither) == (2, 3)


def test_pairing_lowers_the_spread():
    """Two methods that solve nearly the same half of the items: unpaired, the interval would span 0.27 more."""
    pair = only(compare(outcomes("a", "1" * 26 + "0" * 24), outcomes("b", "1" * 25 + "0" * 25), resamples=999))
    assert pair.success.difference.high < 0.12


def test_items_are_paired_by_their_id_and_what_has_no_partner_is_named():
    a, b = outcomes("a", "110"), outcomes("b", "0101")
    b = ExperimentResults(b.info, b.records[::-1][:3])  # items 3, 2, 1
    pair = only(compare(a, b, resamples=99))
    assert (pair.items, pair.unpaired_first, pair.unpaired_second) == (2, ["0"], ["3"])
    assert (pair.mcnemar.both, pair.mcnemar.neither) == (1, 1)
    assert "Only a has run (left out): 0" in str(compare(a, b, resamples=99))


def test_repetitions_of_an_item_are_one_item():
    a, b = outcomes("a", "10", repetitions=3), outcomes("b", "10", repetitions=3)
    a.records[:] = [ItemRecord(item="0", repetition=n, scores={"success": s}) for n, s in enumerate((1, 1, 0))]
    b.records[:] = [ItemRecord(item="0", repetition=n, scores={"success": s}) for n, s in enumerate((0, 1, 0))]
    b.records.append(ItemRecord(item="0", repetition=3, scores={"success": 1}))
    pair = only(compare(a, b, resamples=99))
    assert (pair.items, pair.pairs, pair.unpaired_second) == (1, 3, ["0 (repetition 3)"])
    assert pair.success.difference.estimate == pytest.approx(1 / 3)
    assert pair.mcnemar.only_first == 1


def test_costs_are_compared_too(searched_against_greedy):
    pair = only(searched_against_greedy)
    calls = {each.measure: each for each in pair.costs}["llm_calls"]
    usage = [record.result.usage.llm_calls for record in experiment("slinvit").records]
    assert calls.first == pytest.approx(sum(usage) / len(usage))
    assert 0 < calls.difference.low < calls.first - calls.second < calls.difference.high


def test_a_failed_run_is_unsolved_and_its_cost_unknown():
    a = experiment("slinvit")
    failed = ItemRecord(item=a.records[0].item, scores={"success": 0.0}, error="the server is gone")
    pair = only(compare(ExperimentResults(a.info, [failed, *a.records[1:]]), experiment("greedy"), resamples=99))
    assert pair.success.n == 9
    assert {each.measure: each.n for each in pair.costs}["tokens"] == 8
    assert any("1 runs failed" in warning for warning in pair.warnings)


def test_evaluators_that_both_have_are_compared():
    a, b = outcomes("a", "10"), outcomes("b", "10")
    for share, each in ((0.75, a), (0.25, b)):
        for record in each.records:
            record.scores.update({"goal_share": share, "prior.exact": 1.0, "requests": 2.0})
    b.records[0].scores["only b"] = 1.0
    (found,) = only(compare(a, b, resamples=99)).scores
    assert (found.measure, found.difference.estimate) == ("goal_share", 0.5)


def test_groups_are_in_order_and_add_up(searched_against_greedy):
    groups = only(searched_against_greedy).groups
    assert [each.group for each in groups] == ["2", "4", "6"]
    assert sum(each.success.n for each in groups) == 9


def test_a_group_that_nobody_knows_is_an_error():
    with pytest.raises(InvalidSettingError, match="known: optimal_steps"):
        compare(experiment("slinvit"), experiment("greedy"), by="colour")


def test_what_makes_a_comparison_unfair_is_said():
    a = outcomes("a", "10", benchmark="x", prior="novice", budget={"completions": 5})
    b = outcomes("b", "10", benchmark="y", prior="gpt", value="oracle_rollouts", seed=1, repetitions=2)
    said = " | ".join(only(compare(a, b, resamples=99)).warnings)
    assert "different benchmarks: x and y" in said
    assert "different budgets: ≤ 5 completions and no bound" in said
    assert "different priors: novice and gpt" in said
    assert "different seeds: 0 and 1" in said
    assert "b is not complete: 2 of 4" in said
    assert "b uses an oracle" in said


def test_a_fair_comparison_has_no_warnings(searched_against_greedy):
    assert only(searched_against_greedy).warnings == []


def test_experiments_with_nothing_in_common_are_an_error():
    a = outcomes("a", "1")
    b = ExperimentResults(a.info, [ItemRecord(item="other", scores={"success": 1.0})])
    with pytest.raises(InvalidSettingError, match="no item in common"):
        compare(a, b)


def test_reads_folders_and_compares_several(tmp_path):
    folders = [written(outcomes(name, "10"), tmp_path / name) for name in "abc"]
    comparison = compare(folders[0], str(folders[1]), folders[2], resamples=99)
    assert [(pair.first, pair.second) for pair in comparison.against] == [("a", "b"), ("a", "c")]


def test_methods_of_one_name_are_told_apart_by_what_differs():
    same = {"method": "slinvit"}
    pair = only(compare(outcomes("a", "10", **same), outcomes("b", "10", prior="q", **same), resamples=99))
    assert (pair.first, pair.second) == ("slinvit, p", "slinvit, q")
    pair = only(compare(outcomes("a", "10", **same), outcomes("a", "10", **same), resamples=99))
    assert (pair.first, pair.second) == ("a #1", "a #2")


def test_shows_itself_as_text_markdown_and_data(searched_against_greedy, capsys):
    rich.print(searched_against_greedy)
    assert "McNemar" in capsys.readouterr().out
    assert "slinvit against greedy" in str(searched_against_greedy)
    lines = searched_against_greedy.to_markdown().splitlines()
    assert "| measure | items | slinvit | greedy | difference | 95% interval |" in lines
    assert json.loads(json.dumps(searched_against_greedy.to_dict()))["against"][0]["items"] == 9


def test_names_cannot_forge_a_table():
    evil = outcomes("[red]x | y\n# <b>", "10")
    comparison = compare(evil, outcomes("b", "01"), resamples=99)
    markdown = comparison.to_markdown()
    assert "<b>" not in markdown
    assert not any(line.startswith("# ") for line in markdown.splitlines())
    assert r"\| y" in markdown
    assert "[red]x" in str(comparison)
