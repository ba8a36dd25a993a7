"""A small model, and a server that really listens, in a thread of the tests' own process."""

import contextlib
import threading
import time
import warnings

import httpx
import pytest
import uvicorn

import charlm
from charlm.serving.app import make_app
from charlm.serving.engine import ModelEngine
from charlm.serving.facts import facts_of
from charlm.serving.options import Limits, ServeOptions
from charlm.serving.patience import patient_protocol
from charlm.serving.server import bind
from tests.conftest import SENTENCES


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """Train one in a second: characters, network and counts."""
    where = tmp_path_factory.mktemp("served")
    (where / "book.txt").write_text(SENTENCES * 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLM_CACHE", str(where / "cache"))
        return charlm.train(
            where / "book.txt", steps=60, hidden=32, threads=1, seed=1, out=where / "small"
        )


class Running:
    """A server that listens, as its clients and its tests see it."""

    def __init__(self, model, engine=None, **options):
        limits = options.pop("limits", Limits())
        self.options = ServeOptions(port=0, limits=limits, **options)
        self.told = []
        self.engine = engine or ModelEngine(
            model, streams=limits.streams, waiting=limits.queue, seconds=limits.request_seconds
        )
        self.app = make_app(self.engine, facts_of(model), self.options, self.told.append)
        self.socket = bind(self.options)
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.app,
                http=patient_protocol(limits),
                ws="none",
                loop="asyncio",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=16_384,
            )
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        wait_for(lambda: self._server.started)

    def _serve(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self._server.run(sockets=[self.socket])

    def close(self):
        """Stop, and wait for it."""
        self._server.should_exit = True
        self._thread.join(10)
        self.socket.close()

    def client(self, **headers):
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)


def wait_for(true, seconds=20):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


@contextlib.contextmanager
def running(model, **options):
    """Run a server for a while."""
    server = Running(model, **options)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def server(small_model):
    """Run one server for many tests."""
    with running(small_model) as own:
        yield own


@pytest.fixture
def client(server):
    """Talk to it."""
    with server.client() as own:
        yield own
