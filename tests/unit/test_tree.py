"""The analysis of a search: what comes next, what is linked, pruned, dead or a leaf."""

import math

import pytest
from hypothesis import given
from trees import node, searched_trees, tree, view

from langchain_linvit.planner.tree import log_sum_exp, rank, score

TWO = {"a": {"p": 0.5}, "b": {"p": 0.5}}
FOUR = {**TWO, "a.c": {}, "a.d": {}, "b.e": {}, "b.f": {}}


def phase(of, **options):
    found = view(of, **options)
    return found.phase, found.batch


# phases


def test_the_root_is_proposed_for_first_then_layer_by_layer():
    assert phase(tree({})) == ("propose", ["root"])
    assert phase(tree(TWO)) == ("propose", ["a", "b"])
    assert phase(tree({**TWO, "a.c": {}})) == ("propose", ["b"])


def test_only_leaves_are_evaluated_where_nothing_is_pruned():
    assert phase(tree(FOUR)) == ("estimate", ["a.c", "a.d", "b.e", "b.f"])
    assert phase(tree(FOUR, {"a.c": 0.1, "b.f": 0.2})) == ("estimate", ["a.d", "b.e"])
    assert phase(tree(FOUR, dict.fromkeys(FOUR, 0.5))) == ("select", [])


def test_every_layer_is_evaluated_where_some_is_pruned():
    assert phase(tree(TWO), breadth=1) == ("estimate", ["a", "b"])
    assert phase(tree(TWO, {"a": 0.1, "b": 0.2}), breadth=1) == ("propose", ["b"])


def test_the_search_ends_at_its_depth():
    assert phase(tree(TWO, {"a": 0, "b": 0}), depth=1) == ("select", [])
    assert view(tree(FOUR, dict.fromkeys(FOUR, 0.5))).leaves == ["a.c", "a.d", "b.e", "b.f"]


def test_a_root_that_is_over_leaves_nothing_to_do():
    for root in ({"done": True}, {"solved": True}):
        found = view(tree({}, root=root))
        assert (found.phase, found.leaves, found.layers) == ("select", [], [[], []])


def test_terminal_nodes_are_leaves_and_are_not_expanded():
    ends = tree({"a": {"done": True}, "b": {}, "c": {"used": 9}, "b.x": {}}, dict.fromkeys("abc", 0.5), horizon=9)
    found = view(ends)
    assert (found.phase, found.batch) == ("estimate", ["b.x"])
    assert found.leaves == ["a", "c"]


def test_a_plain_failure_needs_no_estimate():
    failed = tree({"a": {"done": True, "solved": False}})
    assert phase(failed, depth=1) == ("select", [])
    assert failed.value(failed.nodes["a"]) == 0.0


def test_a_solved_node_ends_the_search_at_once():
    found = view(tree({"a": {}, "b": {"solved": True, "done": True}, "c": {"solved": True}}), breadth=1)
    assert (found.phase, found.batch, found.solved) == ("select", [], ["b", "c"])


def test_a_solution_below_a_leaf_ends_the_search_at_once():
    found = view(tree({**TWO, "b.x": {"solved": True, "done": True}}), depth=1)
    assert (found.phase, found.batch, found.solved) == ("select", [], ["b.x"])
    assert found.layers == [["a", "b"], ["b.x"]]


def test_a_solved_node_is_worth_1_and_its_own_reward_does_not_count():
    found = tree({"a": {"solved": True, "reward": 0.7}, "b": {"reward": 0.7}})
    shown = view(found)
    assert found.value(found.nodes["a"]) == 1.0
    assert (shown.partial["a"], shown.partial["b"]) == (0.0, 0.7)


# priors and partial scores


def test_the_prior_is_renormalised_over_live_siblings():
    found = tree({"a": {"p": 0.2}, "b": {"p": 0.3}, "c": {"p": 0.5, "error": "illegal"}})
    shown = view(found, kl_coef=0.5)
    assert shown.prior["a"] == pytest.approx(math.log(0.4))
    assert shown.prior["b"] == pytest.approx(math.log(0.6))
    assert shown.prior["c"] == pytest.approx(math.log(0.5))
    assert shown.partial["a"] == pytest.approx(0.5 * math.log(0.4))


def test_rewards_and_priors_add_up_along_a_branch():
    found = tree(
        {
            "a": {"p": 0.5, "reward": 0.1},
            "b": {"p": 0.5},
            "a.c": {"p": 0.25, "reward": 0.2},
            "a.d": {"p": 0.75},
            "b.e": {},
        }
    )
    shown = view(found, kl_coef=2.0)
    assert shown.partial["a.c"] == pytest.approx(0.3 + 2 * (math.log(0.5) + math.log(0.25)))
    assert shown.cumulative["a.c"] == pytest.approx(math.log(0.5) + math.log(0.25))


def test_a_weight_of_0_leaves_the_prior_out():
    assert view(tree({"a": {"p": 1e-300}, "b": {}}), kl_coef=0.0).partial["a"] == 0.0


# dead children


def test_dead_children_are_neither_evaluated_nor_expanded():
    found = tree({"a": {"error": "illegal"}, "b": {}})
    assert phase(found) == ("propose", ["b"])
    assert phase(found, breadth=1) == ("estimate", ["b"])
    assert view(found).status == {"a": "dead", "b": "kept"}


def test_a_layer_of_the_dead_is_the_end():
    found = view(tree({"a": {"error": "illegal"}, "b": {"error": "unreadable"}}))
    assert (found.phase, found.batch, found.leaves) == ("select", [], [])


# equal states


def test_equal_states_of_a_layer_are_linked_to_the_best_partial_score():
    same = {"a": {"p": 0.3, "key": "s"}, "b": {"p": 0.6, "key": "s"}, "c": {"p": 0.1}}
    found = view(tree(same), kl_coef=1.0)
    assert found.links == {"a": "b"}
    assert found.status == {"a": "linked", "b": "kept", "c": "kept"}
    assert found.batch == ["b", "c"]


def test_links_break_ties_as_the_ranking_does():
    assert view(tree({"a": {"p": 0.3, "key": "s"}, "b": {"p": 0.6, "key": "s"}})).links == {"a": "b"}
    assert view(tree({"a": {"key": "s", "used": 3}, "b": {"key": "s", "used": 2}})).links == {"a": "b"}
    assert view(tree({"a": {"key": "s"}, "b": {"key": "s"}})).links == {"b": "a"}


def test_equal_states_are_evaluated_once_and_share_their_value():
    found = tree({"a": {"key": "s"}, "b": {"key": "s"}}, {"s": 0.4})
    assert view(found, depth=1).leaves == ["a"]
    assert [found.value(found.nodes[name]) for name in "ab"] == [0.4, 0.4]


def test_states_that_were_visited_before_are_not_searched_again():
    spec = {"a": {"key": "root"}, "b": {"key": "old"}, "c": {}}
    found = view(tree(spec, visited=frozenset({"old"})))
    assert found.links == {"a": "root", "b": "root"}
    assert found.batch == ["c"]


def test_a_state_of_an_earlier_layer_is_not_searched_again():
    found = view(tree({**TWO, "a.c": {"key": "b"}, "b.d": {}}))
    assert found.links == {"a.c": "b"}
    assert found.batch == ["b.d"]


def test_values_that_depend_on_the_horizon_are_shared_at_equal_distances_only():
    spec = {"a": {"key": "s", "used": 1}}
    by_horizon = tree(spec, {"s@4": 0.4}, horizon=5, by_horizon=True)
    assert by_horizon.value(by_horizon.nodes["a"]) == 0.4
    assert by_horizon.value({**by_horizon.nodes["a"], "used": 2}) is None
    assert phase(tree(spec, {"s": 0.4}, horizon=5, by_horizon=True), depth=1) == ("estimate", ["a"])


# pruning


def test_breadth_keeps_the_best_children_of_each_node():
    values = {"a": 0.9, "b": 0.8, "c": 0.1, "a.x": 0.1, "a.y": 0.2, "b.x": 0.4, "b.y": 0.3}
    spec = {name: {} for name in values}
    found = view(tree(spec, values), breadth=2, depth=3)
    assert found.status == dict.fromkeys(values, "kept") | {"c": "pruned"}
    one = view(tree({**spec, "c": {"children": ()}}, values), breadth=1)
    assert {name for name, status in one.status.items() if status == "kept"} == {"a", "a.y"}


def test_the_beam_keeps_the_best_of_a_layer():
    values = {"a": 0.9, "b": 0.8, "a.x": 0.1, "a.y": 0.5, "b.x": 0.4, "b.y": 0.3}
    found = view(tree({name: {} for name in values}, values), beam=2, depth=3)
    assert {name for name, status in found.status.items() if status == "pruned"} == {"a.x", "b.y"}
    assert found.batch == ["a.y", "b.x"]


def test_what_is_kept_is_ranked_by_partial_score_and_value():
    values = {"a": 0.5, "b": 0.4}
    spec = {"a": {"p": 0.1}, "b": {"p": 0.9}}
    assert view(tree(spec, values), beam=1, kl_coef=0.0).status["a"] == "kept"
    assert view(tree(spec, values), beam=1, kl_coef=0.1).status["b"] == "kept"
    assert view(tree({"a": {}, "b": {"reward": 0.2}}, values), beam=1).status["b"] == "kept"


def test_linked_children_take_no_place_in_the_breadth():
    spec = {"a": {"key": "s"}, "b": {"key": "s"}, "c": {}}
    found = view(tree(spec, {"s": 0.9, "c": 0.1}), breadth=2)
    assert found.status == {"a": "kept", "b": "linked", "c": "kept"}


# ranking


def test_ties_go_to_the_higher_prior_then_the_shorter_branch_then_the_first():
    values = dict.fromkeys("abcd", 0.5)
    spec = {"a": {"p": 0.2}, "b": {"p": 0.3, "used": 2}, "c": {"p": 0.3}, "d": {"p": 0.3}}
    found = tree(spec, values)
    shown = view(found, depth=1)
    assert rank(found, shown, list("abcd")) == ["c", "d", "b", "a"]
    assert score(found, shown, "a") == 0.5


def test_an_unknown_value_counts_as_nothing():
    found = tree({"a": {"reward": 0.25}})
    assert score(found, view(found), "a") == 0.25


# paths


def test_paths_and_subtrees():
    found = tree(FOUR)
    assert found.path("b.e") == ["b", "b.e"]
    assert found.path("root") == []
    assert found.subtree("b") == ["b", "b.e", "b.f"]
    assert set(found.subtree("root")) == {"root", *FOUR}


def test_log_sum_exp_is_stable():
    assert log_sum_exp([-1000.0, -1000.0]) == pytest.approx(-1000 + math.log(2))
    assert log_sum_exp([]) == log_sum_exp([-math.inf, -math.inf]) == -math.inf
    assert log_sum_exp([math.log(0.25), math.log(0.5), -math.inf]) == pytest.approx(math.log(0.75))


@given(searched_trees())
def test_every_child_that_was_reached_has_one_status(made):
    found, depth = made
    shown = view(found, depth=depth, kl_coef=0.5)
    reached = [child for layer in shown.layers for child in layer]
    assert sorted(shown.status) == sorted(reached)
    assert all((shown.status[n] == "dead") == (found.nodes[n]["error"] is not None) for n in reached)
    assert shown.phase == "select"
    for layer in shown.layers:
        for parent in {found.nodes[child]["parent"] for child in layer}:
            live = [c for c in found.children[parent] if shown.status[c] != "dead"]
            assert not live or sum(math.exp(shown.prior[child]) for child in live) == pytest.approx(1)


@given(searched_trees())
def test_the_beam_and_the_breadth_bound_what_is_kept(made):
    found, depth = made
    shown = view(found, depth=depth, breadth=2, beam=3)
    for layer in shown.layers:
        kept = [child for child in layer if shown.status[child] == "kept"]
        assert len(kept) <= 3
        assert all(sum(found.nodes[c]["parent"] == parent for c in kept) <= 2 for parent in found.nodes)


def test_the_makers_of_these_trees_count_steps():
    assert [node(name, "root")["used"] for name in ("a", "a.b")] == [1, 2]
