"""Where the tests of ALFWorld's engine get it from: they are skipped, with the reason, where it is not installed."""

import importlib.util

import pytest

needs_alfworld = pytest.mark.skipif(
    importlib.util.find_spec("alfworld") is None, reason="the extra `alfworld` is not installed (make alfworld)"
)
