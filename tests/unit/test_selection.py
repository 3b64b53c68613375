"""Which branch is taken: the hard score and the soft backup against direct computations, ties, and bad ends."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import searched_trees, tree, view

from langchain_linvit.planner.selection import candidate_ends, select_branch, soft_values
from langchain_linvit.regularised import soft_policy, soft_value


def selected(of, shown=None, selection="hard", kl_coef=0.0, seed=0, **options):
    shown = shown or view(of, kl_coef=kl_coef, **options)
    return select_branch(of, shown, selection=selection, kl_coef=kl_coef, seed=seed)


def live_children(of, node_id):
    return [child for child in of.children.get(node_id, ()) if not of.nodes[child]["error"]]


def is_over(of, node_id):
    return of.nodes[node_id]["done"] or of.nodes[node_id]["solved"]


def own_reward(of, node_id):
    return 0.0 if of.nodes[node_id]["solved"] else of.nodes[node_id]["reward"]


def prior(of, node_id):
    siblings = live_children(of, of.nodes[node_id]["parent"])
    return of.nodes[node_id]["log_prob"] - math.log(sum(math.exp(of.nodes[n]["log_prob"]) for n in siblings))


def branches(of, depth, at="root", path=()):
    """Every live branch from the root to a leaf."""
    if path and (len(path) == depth or is_over(of, at)):
        yield path
    elif len(path) < depth:
        for child in live_children(of, at):
            yield from branches(of, depth, child, (*path, child))


def hard_score(of, path, kl_coef):
    total = sum(own_reward(of, n) + kl_coef * prior(of, n) for n in path)
    return total + of.value(of.nodes[path[-1]])


@given(searched_trees(), st.sampled_from([0.0, 0.1, 1.0]))
def test_the_hard_score_is_the_best_of_all_branches(made, kl_coef):
    of, depth = made
    found = selected(of, depth=depth, kl_coef=kl_coef)
    every = list(branches(of, depth))
    solved = [path for path in every if of.nodes[path[-1]]["solved"]]
    shortest = min(map(len, solved), default=0)
    contest = [path for path in solved if len(path) == shortest] or every
    if not contest:
        assert not found or found not in [list(path) for path in every]
        return
    assert tuple(found) in contest
    best = max(hard_score(of, path, kl_coef) for path in contest)
    assert hard_score(of, tuple(found), kl_coef) == pytest.approx(best)


def soft_recursion(of, node_id, level, depth, kl_coef):
    """V of a node by the definition; None where no live branch goes through it."""
    if level and (level == depth or is_over(of, node_id)):
        return of.value(of.nodes[node_id])
    values = {child: soft_recursion(of, child, level + 1, depth, kl_coef) for child in live_children(of, node_id)}
    values = {child: value for child, value in values.items() if value is not None}
    if not values or level == depth:
        return None
    q = [own_reward(of, child) + value for child, value in values.items()]
    p = np.array([math.exp(of.nodes[child]["log_prob"]) for child in values])
    return float(soft_value(q, p / p.sum(), kl_coef))


@given(searched_trees(solved=False), st.sampled_from([0.0, 0.1, 1.0]))
def test_the_soft_backup_is_the_recursion(made, kl_coef):
    of, depth = made
    values = soft_values(of, view(of, depth=depth, kl_coef=kl_coef), kl_coef)
    expected = soft_recursion(of, "root", 0, depth, kl_coef)
    assert values.get("root") == (None if expected is None else pytest.approx(expected))


@given(searched_trees(solved=False), st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from(["soft", "sample"]))
def test_a_soft_branch_is_a_live_branch_to_a_leaf(made, kl_coef, selection):
    of, depth = made
    every = [list(path) for path in branches(of, depth)]
    found = selected(of, depth=depth, kl_coef=kl_coef, selection=selection)
    assert found in every or not every


@given(searched_trees(solved=False))
def test_without_a_weight_soft_and_hard_agree_on_the_score(made):
    of, depth = made
    if list(branches(of, depth)):
        hard, soft = (selected(of, depth=depth, selection=name) for name in ("hard", "soft"))
        assert hard_score(of, soft, 0.0) == pytest.approx(hard_score(of, hard, 0.0))


# soft and sampled selection


def test_the_soft_branch_follows_the_soft_policy():
    spec = {"a": {"p": 0.5}, "b": {"p": 0.5}, "a.x": {"p": 0.5}, "a.y": {"p": 0.5}, "b.x": {}}
    of = tree(spec, {"a.x": 1.0, "a.y": 0.0, "b.x": 0.7})
    assert selected(of, selection="hard") == ["a", "a.x"]
    assert selected(of, selection="soft", kl_coef=1.0) == ["b", "b.x"]  # V(a) is nearer to 0.5 than to 1
    assert selected(of, selection="soft", kl_coef=0.01) == ["a", "a.x"]


def test_samples_are_seeded_and_follow_the_soft_policy():
    of = tree({"a": {"p": 0.2}, "b": {"p": 0.8}}, {"a": 0.9, "b": 0.6})
    draws = [selected(of, depth=1, selection="sample", kl_coef=0.5, seed=seed)[0] for seed in range(400)]
    assert draws == [selected(of, depth=1, selection="sample", kl_coef=0.5, seed=seed)[0] for seed in range(400)]
    expected = soft_policy([0.9, 0.6], [0.2, 0.8], 0.5)[0]
    assert Counter(draws)["a"] / 400 == pytest.approx(expected, abs=0.1)


def test_a_link_has_the_value_of_the_state_that_stands_for_it():
    of = tree({"a": {"p": 0.25, "key": "s"}, "b": {"p": 0.75, "key": "s"}}, {"s": 0.4})
    values = soft_values(of, view(of, depth=1), 0.1)
    assert values["a"] == values["b"] == 0.4
    assert values["root"] == pytest.approx(0.4)


def test_a_branch_ends_at_a_link():
    spec = {"a": {"p": 0.5, "key": "s"}, "b": {"p": 0.5, "key": "s"}, "a.x": {}}
    of = tree(spec, {"a.x": 0.5})
    draws = {tuple(selected(of, selection="sample", kl_coef=1.0, seed=seed)) for seed in range(30)}
    assert draws == {("a", "a.x"), ("b",)}


def test_pruned_children_count_in_the_backup():
    of = tree({"a": {"p": 0.5}, "b": {"p": 0.5}}, {"a": 1.0, "b": 0.0})
    values = soft_values(of, view(of, depth=1, breadth=1), 1.0)
    assert values["root"] == pytest.approx(math.log(0.5 * math.e + 0.5))


def test_a_node_whose_children_are_all_dead_is_no_end_of_a_branch():
    of = tree({"a": {}, "b": {}, "a.x": {"error": "illegal"}, "b.x": {}}, {"a": 0.9, "b": 0.2, "b.x": 0.1})
    for selection in ("hard", "soft"):
        assert selected(of, breadth=2, selection=selection, layerwise=True) == ["b", "b.x"]


# ties


@pytest.mark.parametrize("selection", ["hard", "soft"])
def test_ties_go_to_the_higher_prior_then_to_the_first(selection):
    of = tree({"a": {"p": 0.2}, "b": {"p": 0.4}, "c": {"p": 0.4}}, dict.fromkeys("abc", 0.5))
    assert selected(of, depth=1, selection=selection) == ["b"]


def test_ties_go_to_the_shorter_branch():
    of = tree({"a": {"used": 3}, "b": {"used": 2}}, {"a": 0.5, "b": 0.5})
    assert selected(of, depth=1) == ["b"]


# solved, dead and cut short


@pytest.mark.parametrize("selection", ["hard", "soft", "sample"])
def test_a_solved_branch_wins_over_every_other(selection):
    spec = {"a": {"p": 0.99, "reward": 1.0}, "b": {"p": 0.01, "solved": True, "done": True, "reward": 1.0}}
    of = tree(spec, {"a": 1.0})
    assert selected(of, kl_coef=1.0, selection=selection) == ["b"]


def test_of_solved_branches_the_best_score_wins():
    of = tree({"a": {"p": 0.1, "solved": True}, "b": {"p": 0.9, "solved": True}})
    assert selected(of, kl_coef=0.5) == ["b"]


@pytest.mark.parametrize("selection", ["hard", "soft", "sample"])
def test_where_all_are_dead_the_likeliest_dead_one_is_taken(selection):
    of = tree({"a": {"p": 0.2, "error": "illegal"}, "b": {"p": 0.7, "error": "illegal"}})
    assert selected(of, selection=selection) == ["b"]


def test_the_dead_take_no_part_while_one_lives():
    of = tree({"a": {"p": 0.99, "error": "illegal"}, "b": {"p": 0.01}}, {"b": 0.0})
    assert selected(of, depth=1, kl_coef=1.0) == ["b"]


def test_where_nothing_was_proposed_nothing_is_selected():
    assert selected(tree({})) == []
    assert selected(tree({}, root={"done": True})) == []


def test_a_search_that_was_cut_short_takes_the_best_that_is_known():
    spec = {"a": {"p": 0.3}, "b": {"p": 0.7}, "c": {"p": 0.1}}
    assert selected(tree(spec, {"a": 0.2, "c": 0.6}), depth=1) == ["c"]
    assert selected(tree(spec), depth=1) == ["b"]


def test_a_plain_failure_is_not_taken_for_the_best_that_is_known():
    of = tree({"a": {"p": 0.9, "done": True, "solved": False}, "b": {"p": 0.1}})
    assert view(of).phase == "propose"
    assert selected(of) == ["b"]
    only = tree({"a": {"done": True, "solved": False}})
    assert candidate_ends(only, view(only, depth=2)) == ["a"]


def test_revisits_are_taken_only_where_nothing_else_is_left():
    of = tree({"a": {"key": "root", "p": 0.9}, "b": {"p": 0.1}}, {"b": 0.0})
    assert selected(of, depth=1) == ["b"]
    assert selected(tree({"a": {"key": "root"}}), depth=1) == ["a"]
    dead_end = tree({"a": {"key": "root"}, "b": {"error": "illegal"}, "c": {"done": True, "solved": False}})
    shown = view(dead_end, depth=2)
    shown.leaves = []
    assert candidate_ends(dead_end, shown) == ["a"]
