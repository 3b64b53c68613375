"""What every test shares: no sockets in unit tests, and where the benchmark data lies."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

settings.register_profile("linvit", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("linvit")

DATA = Path(os.environ.get("LINVIT_BENCHMARK_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _no_sockets(request):
    """Only integration tests may open a socket; event loops wake themselves through a socket pair."""
    if "integration" not in request.path.parts:
        disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """The folder of real benchmark data; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no benchmark data at {DATA} (set LINVIT_BENCHMARK_DATA)")
    return DATA
