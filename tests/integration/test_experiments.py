"""Experiments in their real surroundings: no network at all, a local Ray, and a server with LangSmith's interface."""

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest
from langsmith import Client

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import ExperimentResults, load_dataset, run_experiment
from tests.unit.experiment_worlds import CORRIDOR, TASKS, recorded, slinvit, table

pytestmark = pytest.mark.integration


# no network


def in_an_empty_network():
    """The words before a command that leave it without any network, not even this machine's own."""
    for words in (
        ["unshare", "--user", "--map-root-user", "--net"],
        ["bwrap", "--unshare-net", "--dev-bind", "/", "/"],
    ):
        if shutil.which(words[0]) and subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    pytest.skip("needs unshare or bwrap, and user namespaces")


def test_experiments_run_in_an_empty_network_namespace(tmp_path):
    assert json.loads(recorded(tmp_path, "experiments", *in_an_empty_network())) == []


def test_the_namespace_has_no_network():
    program = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    done = subprocess.run([*in_an_empty_network(), sys.executable, "-c", program], capture_output=True, text=True)
    assert "Network is unreachable" in done.stderr


# Ray


@pytest.fixture
def ray(monkeypatch):
    """Ray, whose processes find this project as the tests do; whatever is left of it is stopped."""
    module = pytest.importorskip("ray", reason="needs the extra ray")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), str(root / "tests" / "unit")]))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns, and warnings are errors here
    yield module
    module.shutdown()


def test_shards_give_the_same_results_item_by_item(ray, tmp_path):
    examples = load_dataset("blocksworld", limit=3)
    sharded = run_experiment("slinvit", examples, repetitions=2, shards=2, out=tmp_path, progress=False)
    assert not ray.is_initialized()
    assert table(sharded) == table(run_experiment("slinvit", examples, repetitions=2, progress=False))
    assert table(ExperimentResults.load(tmp_path)) == table(sharded)


def test_shards_run_on_a_ray_that_is_there_and_an_error_in_one_is_a_scored_failure(ray):
    def target(inputs):
        if inputs["task"]["id"] == "to-1":
            raise ValueError("out of order")
        return ["go right", "go right"]

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    results = run_experiment(target, TASKS[:2], environment=CORRIDOR["environment"], shards=1, progress=False)
    assert ray.is_initialized()  # it is not ours to stop
    assert [record.error for record in results.records] == ["ValueError: out of order", None]
    assert [record.success for record in results.records] == [0.0, 1.0]
    lock = threading.Lock()
    with pytest.raises(InvalidSettingError, match="can't be sent to other processes"):
        run_experiment(lambda inputs: lock, TASKS[:1], environment=CORRIDOR["environment"], shards=1, progress=False)


# upload


class LangSmithServer(BaseHTTPRequestHandler):
    """As much of LangSmith's API as an experiment's upload asks for; it keeps what it is told."""

    received: list
    known: dict

    def do_GET(self):
        if self.path.startswith("/datasets"):
            return self._answer([self.known["dataset"]] if "dataset" in self.known else [])
        return self._answer({"instance_flags": {}, "batch_ingest_config": {"use_multipart_endpoint": False}})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.received.append((self.path, body, dict(self.headers)))
        if self.path == "/datasets":
            made = {**json.loads(body), "id": f"{UUID(int=13)}", "created_at": "2026-01-01T00:00:00Z"}
            self.known["dataset"] = made
            return self._answer(made)
        if self.path.startswith("/sessions"):
            sent = json.loads(body)
            self.known["session"] = {**self.known.get("session", {}), **sent, "tenant_id": f"{UUID(int=10)}"}
            return self._answer(self.known["session"])
        return self._answer([] if "examples" in self.path else {})

    def do_PATCH(self):
        self.do_POST()

    def _answer(self, content):
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def langsmith_server():
    handler = type("Handler", (LangSmithServer,), {"received": [], "known": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def test_an_upload_is_a_normal_experiment(langsmith_server, capsys):
    url, server = langsmith_server
    client = Client(api_url=url, api_key="a-key", auto_batch_tracing=False)
    uploaded = slinvit(TASKS[:2], upload=True, client=client)
    client.flush()
    paths = [path for path, _, _ in server.received]
    assert paths[0] == "/datasets"
    assert any("examples" in path for path in paths)
    assert "/sessions" in paths
    feedback = [json.loads(body) for path, body, _ in server.received if path == "/feedback"]
    assert [item["score"] for item in feedback if item["key"] == "success"] == [1.0, 1.0]
    runs = [json.loads(body) for path, body, _ in server.received if path == "/runs"]
    assert len([run for run in runs if run.get("reference_example_id")]) == 2
    assert table(uploaded) == table(slinvit(TASKS[:2]))
