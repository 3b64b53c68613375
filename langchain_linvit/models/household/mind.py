"""How well the household policy thinks: its noise, and the errors that it holds on to within one task.

A small model errs in two ways. Now and then it slips, and would do better on the next try. And it holds mistaken
beliefs for a whole task: that a towel will do for the cloth, that this drawer needs no opening, that a thing
need not be cleaned. The beliefs are a fixed function of the task, the belief and `seed`, so that the policy
stays a pure function of the prompt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

NoiseLevel = Literal["careful", "novice", "careless"]


@dataclass(frozen=True, slots=True)
class Mind:
    """The noise of a household policy; every number is a probability or a share of it.

    Attributes:
        confusion: That a similar thing is taken for the one that is asked for, through a whole task.
        blindness: That a closed place is never thought of as one to open, through a whole task.
        neglect: That a step the task needs (to clean, to heat, to carry the thing to the lamp) is not thought of.
        slip: Weight of errors at any decision: revisits, impossible commands, wrong things.
        grip: Weight that a mistaken belief has where it applies; the rest goes to what is right.
        misjudgement: That the critic counts one subgoal too many or too few, in a given state.
        seed: Other seeds hold other beliefs.
    """

    confusion: float
    blindness: float
    neglect: float
    slip: float
    grip: float
    misjudgement: float
    seed: int = 0

    def believes(self, chance: float, *about: str) -> bool:
        """Whether a belief of this chance is held about something; the same for equal arguments."""
        return self.draw("belief", *about) < chance

    def draw(self, *about: str) -> float:
        """A number in [0, 1) that is fixed for equal arguments."""
        key = hashlib.blake2b("\0".join((str(self.seed), *about)).encode(), digest_size=8).digest()
        return int.from_bytes(key) / 2**64


MINDS: dict[NoiseLevel, Mind] = {
    "careful": Mind(confusion=0.3, blindness=0.1, neglect=0.1, slip=0.1, grip=0.7, misjudgement=0.02),
    "novice": Mind(confusion=0.5, blindness=0.3, neglect=0.35, slip=0.18, grip=0.75, misjudgement=0.05),
    "careless": Mind(confusion=0.7, blindness=0.4, neglect=0.5, slip=0.25, grip=0.8, misjudgement=0.1),
}
"""The noise levels, frozen before any planner was measured with them."""
