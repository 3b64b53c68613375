"""Fixtures of the unit tests; heavy imports stay inside of them."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _counted_afresh():
    """What an earlier test left open is not counted in this one, whatever their order."""
    if "worlds" in sys.modules:
        sys.modules["worlds"].CountedCorridor.live = 0


@pytest.fixture
def closed_toolkits(_counted_afresh):
    """Closes the toolkits of `corridor_agent`, and sees that none of their forks is left open."""
    from agent_parts import OPENED
    from worlds import CountedCorridor

    yield
    while OPENED:
        OPENED.pop().close()
    assert CountedCorridor.live == 0
