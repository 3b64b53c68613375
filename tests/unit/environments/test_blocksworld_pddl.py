"""Reading PDDL: everything unreadable or inconsistent is refused by name."""

import pytest

from langchain_linvit.environments.blocksworld import load_problem
from langchain_linvit.environments.blocksworld.pddl import read_problem
from langchain_linvit.environments.blocksworld.state import TABLE, State
from langchain_linvit.errors import InvalidTaskError

INIT = "(handempty) (clear a) (on a b) (ontable b)"


def pddl(objects="a b", init=INIT, goal="(and (on b a))"):
    return f"(define (problem p) (:domain blocksworld-4ops) (:objects {objects}) (:init {init}) (:goal {goal}))"


def test_reads_a_problem_with_colours_for_letters():
    problem = read_problem("; a comment\n" + pddl().upper())
    assert problem.start == State(("red", "blue"), (1, TABLE))
    assert problem.goal == (("on", "blue", "red"),)


def test_keeps_the_order_of_the_goal():
    problem = read_problem(pddl("a b c", INIT + " (ontable c) (clear c)", "(and (on c a) (on b c))"))
    assert problem.goal == (("on", "orange", "red"), ("on", "blue", "orange"))


def test_objects_without_a_colour_keep_their_names():
    problem = read_problem(pddl("b1 b2", "(handempty) (clear b1) (on b1 b2) (ontable b2)", "(on b2 b1)"))
    assert problem.start.blocks == ("b1", "b2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a PDDL problem"),
        ("(define (problem", "not a PDDL problem"),
        ("(" * 100_000, "not a PDDL problem"),
        ("\x00\x01 🦄", "not a PDDL problem"),
        (pddl() + ")", "not a PDDL problem"),
        (pddl(goal="(or (on a b) (on b a))"), "not a PDDL problem"),
        (pddl(goal="(not " * 3_000 + "(on a b)" + ")" * 3_000), "positive facts only"),
        (pddl("a a"), "not a PDDL problem"),
        ("(define (problem p) (:domain d) (:objects a) (:init (ontable a) (clear a) (handempty)))", "not a PDDL"),
        ("x" * 600_000, "600000 characters; at most"),
        (pddl(objects=""), "no objects"),
        (pddl("a"), r"\(on a b\) names 'b', which is not among the declared"),
        (pddl(goal="(on c a)"), r"\(on c a\) names 'c'"),
        (pddl("a b the"), "'the' can't be told from a word"),
        (pddl("a b red"), "'a' and 'red' would both be called the red block"),
        (pddl(init=INIT + " (ontable a)"), "block a is in two places: b and the table"),
        (pddl(init="(holding a) (ontable a) (ontable b) (clear b)"), "block a is in two places"),
        (pddl(init="(on a b) (on b a) (handempty)"), "circle"),
        (pddl(init="(on a a) (ontable b) (clear b) (handempty)"), "circle: a"),
        (pddl("a b c", "(on a b) (on c b) (ontable b) (clear a) (clear c) (handempty)"), "two blocks are on b"),
        (pddl(init="(holding a) (holding b)"), "two blocks are on the hand"),
        (pddl(init="(holding a) (on b a) (clear b)"), "a is in the hand and carries b"),
        (pddl(init="(handempty) (clear a) (on a b)"), "nothing says where b is"),
        (pddl(init=INIT + " (clear b)"), r"\(clear b\) contradicts where the blocks are"),
        (pddl(init="(handempty) (on a b) (ontable b)"), r"\(clear a\) is not given, but follows"),
        (pddl(init="(clear a) (on a b) (ontable b)"), r"\(handempty\) is not given"),
        (pddl(init="(handempty) (holding a) (ontable b) (clear b)"), r"\(handempty\) contradicts"),
        (pddl(init=INIT + " (shiny a)"), r"\(shiny a\) in the init is no fact"),
        (pddl(init=INIT + " (not (clear b))"), "positive facts only"),
        (pddl(init=INIT + " (= (total-cost) 0)"), "positive facts only"),
        (pddl(goal="(on a)"), r"\(on a\) in the goal is no fact of BlocksWorld"),
        (pddl(goal="(and)"), "the goal is empty"),
        (pddl(goal="(not (on a b))"), "positive facts only"),
        (pddl(goal="(and (on a b) (not (clear b)))"), "positive facts only"),
        (pddl(goal="(on a a)"), "circle"),
        (pddl(goal="(and (on a b) (on b a))"), "circle"),
        (pddl(goal="(and (on a b) (clear b))"), "contradicts itself"),
    ],
)
def test_whatever_is_wrong_is_named(text, message):
    with pytest.raises(InvalidTaskError, match=message) as caught:
        read_problem(text, source="some-file.pddl")
    assert str(caught.value).startswith("some-file.pddl: ")
    assert len(str(caught.value)) < 600


def test_a_bad_file_is_named(tmp_path):
    (tmp_path / "broken.pddl").write_bytes(b"\xff\xfe(define")
    for name in ("broken.pddl", "absent.pddl", "."):
        with pytest.raises(InvalidTaskError, match="can't be read"):
            load_problem(tmp_path / name)
    (tmp_path / "odd.pddl").write_text(pddl(goal="(on a a)"))
    with pytest.raises(InvalidTaskError, match=r"odd\.pddl: blocks stand on each other in a circle"):
        load_problem(tmp_path / "odd.pddl")
