"""The household policy: it reads prompts, errs as its level says, and judges what it reads."""

import json
from itertools import pairwise

import pytest
from langchain_core.messages import HumanMessage

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.household import MINDS, HouseholdPolicy, Mind, household_model
from langchain_linvit.models.household.critic import held_subgoals
from langchain_linvit.models.household.reading import read_goal, read_state
from langchain_linvit.prompts import DEFAULT_TEMPLATES, Situation
from langchain_linvit.rules import RuleSet

CLEAR = Mind(confusion=0, blindness=0, neglect=0, slip=0, grip=0.75, misjudgement=0)
MISTAKEN = Mind(confusion=1, blindness=1, neglect=1, slip=0, grip=0.75, misjudgement=1)

KITCHEN = """\
You are at countertop 1 (within reach: coffeemachine 1).
You carry nothing.
Seen so far:
- cabinet 1 (closed, not looked into)
- cabinet 2 (closed, holding mug 2)
- countertop 1: cup 1, knife 1
- fridge 1 (open): nothing
Not visited yet: cabinet 3, sinkbasin 1, microwave 1.
Known of things: cup 1 is clean, desklamp 1 is turned on."""
CLEAN = "clean a cloth and put it on countertop"


def at(here, carried="nothing", seen=(), unvisited="", states=""):
    """A state's text, as the environment words it."""
    lines = [f"You are at {here}.", f"You carry {carried}."]
    lines += ["Seen so far:", *(f"- {place}" for place in seen)] if seen else []
    lines += [f"Not visited yet: {unvisited}."] if unvisited else []
    lines += [f"Known of things: {states}."] if states else []
    return "\n".join(lines)


START = at("the middle of the room", unvisited="cabinet 1, countertop 1, sinkbasin 1")


def messages(goal, state, kind="action", history=(), **variables):
    situation = Situation("", goal, state, history)
    return situation.messages(getattr(DEFAULT_TEMPLATES, kind), **variables)


def replies(mind, goal, state, kind="action", history=(), **variables):
    return HouseholdPolicy(mind)(messages(goal, state, kind, history, **variables), [])


def likeliest(mind, goal, state, kind="action", **variables):
    weights = replies(mind, goal, state, kind, **variables)
    return max(weights, key=weights.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("put some book on sidetable", ("pick", "book", "sidetable", "")),
        ("put a clean butterknife in countertop", ("change", "butterknife", "countertop", "clean")),
        ("cool some apple and put it in countertop", ("change", "apple", "countertop", "cool")),
        ("put a hot egg in garbagecan", ("change", "egg", "garbagecan", "heat")),
        (CLEAN, ("change", "cloth", "countertop", "clean")),
        ("find two cd and put them in drawer", ("two", "cd", "drawer", "")),
        ("put two alarmclock in dresser", ("two", "alarmclock", "dresser", "")),
        ("examine the bowl with the desklamp", ("look", "bowl", "desklamp", "")),
        ("look at alarmclock under the floorlamp", ("look", "alarmclock", "floorlamp", "")),
    ],
)
def test_goals_are_understood(text, expected):
    goal = read_goal(text)
    assert goal is not None
    assert (goal.kind, goal.thing, goal.place, goal.verb) == expected


def test_states_are_understood():
    household = read_state(KITCHEN)
    assert (household.here, household.near, household.carried) == ("countertop 1", ("coffeemachine 1",), "")
    assert household.contents == {
        "cabinet 1": None, "cabinet 2": ("mug 2",), "countertop 1": ("cup 1", "knife 1"), "fridge 1": (),
    }  # fmt: skip
    assert household.closed == {"cabinet 1", "cabinet 2"}
    assert household.unvisited == ("cabinet 3", "sinkbasin 1", "microwave 1")
    assert household.states == {("cup 1", "clean"), ("desklamp 1", "turned on")}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (START, "go to countertop 1"),
        (at("cabinet 1", seen=["cabinet 1 (closed, not looked into)"]), "open cabinet 1"),
        (at("sinkbasin 1", seen=["cabinet 1 (closed, holding cloth 1)", "sinkbasin 1: nothing"]), "go to cabinet 1"),
        (at("cabinet 1", seen=["cabinet 1 (open): cloth 1"]), "take cloth 1 from cabinet 1"),
        (at("cabinet 1", "cloth 1", unvisited="sinkbasin 1, countertop 1"), "go to sinkbasin 1"),
        (at("sinkbasin 1", "cloth 1", unvisited="sinkbasin 1, countertop 1"), "clean cloth 1 with sinkbasin 1"),
        (at("sinkbasin 1", "cloth 1", unvisited="countertop 1", states="cloth 1 is clean"), "go to countertop 1"),
        (
            at("countertop 1", "cloth 1", ["countertop 1: nothing"], "", "cloth 1 is clean"),
            "move cloth 1 to countertop 1",
        ),
        (at("sinkbasin 1", "towel 1", ["sinkbasin 1: nothing"], "countertop 1"), "move towel 1 to sinkbasin 1"),
    ],
)
def test_a_clear_mind_does_what_is_needed(state, expected):
    assert likeliest(CLEAR, CLEAN, state) == f"Action: {expected}"


def test_what_is_cool_is_not_taken_for_heated():
    state = at("microwave 1", "egg 1", ["microwave 1 (closed, not looked into)"], "", "egg 1 is cool")
    assert likeliest(CLEAR, "put a hot egg in garbagecan", state) == "Action: heat egg 1 with microwave 1"


def test_a_mistaken_mind_takes_a_towel_for_the_cloth():
    state = at("toilet 1", seen=["toilet 1: towel 1"], unvisited="cabinet 1")
    assert likeliest(MISTAKEN, CLEAN, state) == "Action: take towel 1 from toilet 1"
    assert replies(CLEAR, CLEAN, state).get("Action: take towel 1 from toilet 1", 0) == 0


def test_a_mistaken_mind_forgets_to_open_and_to_clean():
    closed = at("cabinet 1", seen=["cabinet 1 (closed, not looked into)"], unvisited="drawer 1")
    assert likeliest(MISTAKEN, CLEAN, closed) == "Action: go to drawer 1"
    carrying = at("cabinet 1", "cloth 1", unvisited="countertop 1, sinkbasin 1")
    assert likeliest(MISTAKEN, CLEAN, carrying) == "Action: go to countertop 1"


def test_a_mistaken_mind_believes_that_it_is_done():
    state = at("countertop 1", seen=["countertop 1: towel 1"], unvisited="cabinet 1", states="towel 1 is clean")
    idle = {"Action: look", "Action: inventory", "Action: examine countertop 1"}
    weights = replies(MISTAKEN, CLEAN, state)
    assert sum(weights[reply] for reply in idle) == pytest.approx(0.75 * sum(weights.values()))


def test_what_is_right_keeps_its_share_against_every_belief():
    state = at("countertop 1", seen=["countertop 1: cloth 1, towel 1"])
    weights = replies(MISTAKEN, CLEAN, state)
    assert weights["Action: take cloth 1 from countertop 1"] >= 0.2 * sum(weights.values())


def test_levels_are_ordered_by_their_noise():
    levels = [MINDS["careful"], MINDS["novice"], MINDS["careless"]]
    for less, more in pairwise(levels):
        for name in ("confusion", "blindness", "neglect", "slip", "grip", "misjudgement"):
            assert getattr(less, name) < getattr(more, name)


def test_the_policy_is_a_pure_function_of_the_prompt():
    first, second = HouseholdPolicy(), HouseholdPolicy()
    for state in (START, KITCHEN):
        assert first(messages(CLEAN, state), []) == second(messages(CLEAN, state), [])


def test_beliefs_depend_on_the_task_and_the_seed():
    novice = MINDS["novice"]
    draws = {novice.draw("belief", str(number)) for number in range(50)}
    assert len(draws) == 50
    held = [novice.believes(0.5, "confusion", str(number)) for number in range(400)]
    assert 140 < sum(held) < 260
    assert Mind(**{**_fields(novice), "seed": 1}).draw("x") != novice.draw("x")


def _fields(mind):
    return {name: getattr(mind, name) for name in mind.__slots__}


@pytest.mark.parametrize(
    ("goal", "state", "expected"),
    [
        (CLEAN, START, (0, 5)),
        (CLEAN, at("toilet 1", seen=["toilet 1: cloth 1"]), (1, 5)),
        (CLEAN, at("toilet 1", "towel 1"), (0, 5)),
        (CLEAN, at("toilet 1", "cloth 1"), (2, 5)),
        (CLEAN, at("toilet 1", "cloth 1", states="cloth 1 is clean"), (3, 5)),
        (CLEAN, at("countertop 1", "cloth 1", states="cloth 1 is clean"), (4, 5)),
        ("put two cd in drawer", at("desk 1", seen=["drawer 1 (open): cd 1", "desk 1: cd 2"]), (4, 6)),
        ("examine the bowl with the desklamp", at("desk 1", "bowl 1", ["desk 1: desklamp 1"]), (4, 5)),
        ("put some pen on desk", at("desk 1", "pen 1"), (3, 4)),
    ],
)
def test_the_critic_counts_the_subgoals_that_hold(goal, state, expected):
    assert held_subgoals(read_goal(goal), read_state(state)) == expected
    assert likeliest(CLEAR, goal, state, "critic") == "Holds: {} of {}".format(*expected)


def test_a_misjudging_critic_is_one_off_and_stays_with_it():
    state = at("toilet 1", "cloth 1")
    answer = likeliest(MISTAKEN, CLEAN, state, "critic")
    assert answer in {"Holds: 1 of 5", "Holds: 3 of 5"}
    assert likeliest(MISTAKEN, CLEAN, state, "critic") == answer


def test_subgoals_are_named_and_carried_out():
    assert likeliest(CLEAR, CLEAN, START, "subgoal") == "Subgoal: look for a cloth in countertop 1"
    there = at("countertop 1", seen=["countertop 1: cup 1"])
    carry = "carry_out"
    subgoal = "look for a cloth in countertop 1"
    assert likeliest(CLEAR, CLEAN, START, carry, subgoal=subgoal) == "Action: go to countertop 1"
    assert likeliest(CLEAR, CLEAN, there, carry, subgoal=subgoal) == "Done"
    assert likeliest(CLEAR, CLEAN, there, carry, subgoal="look", history=[("look", "…")]) == "Done"


def test_numbered_actions_are_weighted_as_they_would_be_named():
    actions = "1. go to toilet 1\n2. go to countertop 1\n3. look"
    weights = replies(CLEAR, CLEAN, START, "label", actions=actions)
    assert max(weights, key=weights.__getitem__) == "2"
    assert set(weights) == {"1", "2", "3"}
    stated = json.loads(likeliest(CLEAR, CLEAN, START, "verbalise", actions=actions))
    assert max(stated, key=stated.__getitem__) == "2"


@pytest.mark.parametrize("goal", [CLEAN, "put some pen on desk", "put two cd in drawer"])
def test_its_rules_are_valid(goal):
    assert RuleSet.parse(likeliest(CLEAR, goal, START, "rules")).value(START) == 0


def test_what_it_does_not_understand_it_says_so():
    policy = HouseholdPolicy()
    for unknown in (
        [HumanMessage("hello")],
        messages("paint the house", START),
        messages(CLEAN, START, "imagine", action="look"),
    ):
        assert list(policy(unknown, [])) == ["I don't know what to do here."]


def test_it_is_a_chat_model():
    model = household_model("careful", seed=3)
    first = model.invoke(messages(CLEAN, START), seed=5).text
    assert first.startswith("Action: ")
    assert first == household_model("careful", seed=3).invoke(messages(CLEAN, START), seed=5).text
    with pytest.raises(InvalidSettingError, match=r"'drunk'.*careful, novice, careless"):
        household_model("drunk")


def test_plans_say_what_the_task_seems_to_need_and_reflections_find_out_nothing():
    (plan,) = replies(CLEAR, CLEAN, START, "plan")
    assert plan.splitlines()[1:] == ["2. take a cloth", "3. clean the cloth", "4. put the cloth in the countertop"]
    (careless,) = replies(MISTAKEN, CLEAN, START, "plan")
    assert "clean the cloth" not in careless
    (reflection,) = replies(CLEAR, CLEAN, START, "reflect", history=[("go to cabinet 1", "closed")])
    assert reflection == "Reflection: I ended with 'go to cabinet 1', and the task was not done."
