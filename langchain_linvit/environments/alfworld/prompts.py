"""What a model is told about ALFWorld's households, in our own words."""

DESCRIPTION = """\
You are in a household, in one room, and carry out a task by short commands. You see only what is at the place \
where you are. Places are numbered (countertop 1, drawer 3), and so are things (cloth 2).

Commands:
- go to PLACE: you may go from any place to any other.
- open PLACE, close PLACE: what lies in a closed place can't be seen or taken until it is opened.
- take THING from PLACE: only one thing can be carried at a time, so put it down before you take another.
- move THING to PLACE: puts down what you carry, at the place where you are (`put THING in/on PLACE` is the same).
- clean THING with SINKBASIN: you must be at the sinkbasin and carry the thing.
- heat THING with MICROWAVE, cool THING with FRIDGE: likewise; the microwave or fridge need not be opened.
- use LAMP: turns on a lamp that stands where you are.
- examine THING, examine PLACE, look, inventory: these tell you more and change nothing.

The six kinds of task, and the subgoals that each needs:
- put a THING in PLACE: find it, take it, go to the place, put it there.
- put two THING in PLACE: the same for one after the other, into the very same place.
- put a clean THING in PLACE: find it, take it, clean it at a sinkbasin, go to the place, put it there.
- put a hot THING in PLACE: find it, take it, heat it with the microwave, go to the place, put it there.
- put a cool THING in PLACE: find it, take it, cool it with the fridge, go to the place, put it there.
- look at THING under the LAMP: find it, take it, go to the lamp, use the lamp while you carry the thing.

The thing must be of exactly the kind that is named: a cup is no mug, and a towel is no cloth. Nothing is \
clean, hot or cool until you make it so. To find a thing, go to the places where \
it is likely to be, open them where they are closed, and don't visit a place twice without need.

An example. Task: put a cool tomato in sinkbasin.
Action: go to diningtable 1
-> You arrive at diningtable 1. On the diningtable 1, you see a bread 1, and a tomato 2.
Action: take tomato 2 from diningtable 1
-> You pick up the tomato 2 from the diningtable 1.
Action: go to fridge 1
-> You arrive at fridge 1. The fridge 1 is closed.
Action: cool tomato 2 with fridge 1
-> You cool the tomato 2 using the fridge 1.
Action: go to sinkbasin 1
-> You arrive at sinkbasin 1. On the sinkbasin 1, you see nothing.
Action: move tomato 2 to sinkbasin 1
-> You move the tomato 2 to the sinkbasin 1.

Where a subgoal is asked for, name one of these small steps: find a tomato; take a tomato; clean, heat or cool the \
tomato; go to the sinkbasin; put the tomato in the sinkbasin; use the lamp."""
"""Rules of the world, its commands, the subgoals of every kind of task, and a worked example."""
