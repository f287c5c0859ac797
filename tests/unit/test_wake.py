"""A page is woken on the server's own loop, while its browser still shows it, and never by two at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from explain.catalog import Progress, Request
from explain.dashboard import jobs, wake
from explain.dashboard.progress import Drawn, watch
from explain.engine import Model
from explain.errors import Cancelled
from explain.service import Job


class Server:
    """A Streamlit server with one session, whose loop runs what it was given when told to."""

    def __init__(self, runner: Any = None) -> None:
        self.made: list[Any] = []
        self.later: list[Callable[[], None]] = []
        self.open = True
        self.session = SimpleNamespace(
            _event_loop=SimpleNamespace(
                call_soon_threadsafe=lambda call, *args: self.later.append(partial(call, *args)),
                call_later=lambda _, call, *args: self.later.append(partial(call, *args)),
            ),
            _client_state=SimpleNamespace(page_script_hash="explain"),
            _scriptrunner=runner,
            _create_scriptrunner=self.made.append,
        )
        self._session_mgr = SimpleNamespace(get_active_session_info=lambda _: SimpleNamespace(session=self.session))

    def is_active_session(self, name: str) -> bool:
        return self.open and name == "me"

    def turn(self) -> None:
        calls, self.later[:] = list(self.later), []
        for call in calls:
            call()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[[Server], Callable[[], None] | None]:
    def serve(server: Server) -> Callable[[], None] | None:
        context = SimpleNamespace(session_id="me", page_script_hash="explain", query_string="a=b", context_info=None)
        monkeypatch.setattr(wake, "get_script_run_ctx", lambda: context)
        monkeypatch.setattr(wake, "exists", lambda: True)
        monkeypatch.setattr(wake, "get_instance", lambda: server)
        return wake.waker()

    return serve


def test_a_page_at_rest_is_drawn_anew_with_what_it_shows(served: Any) -> None:
    server = Server()
    served(server)()
    assert server.made == [], "not in the thread of whoever has news"
    server.turn()
    (again,) = server.made
    assert (again.query_string, again.page_script_hash, again.widget_states) == ("a=b", "explain", None)


def test_a_script_that_runs_is_never_broken_off(served: Any) -> None:
    server = Server(runner=object())  # that of a click, say, which nothing here is asked of
    served(server)()
    for _ in range(3):
        server.turn()
    assert server.made == []
    server.session._scriptrunner = None
    server.turn()
    assert len(server.made) == 1
    assert server.later == []


def test_a_change_of_page_is_not_undone(served: Any) -> None:
    server = Server(runner=object())  # of the other page, which the session does not name yet
    served(server)()
    server.turn()
    server.session._client_state.page_script_hash, server.session._scriptrunner = "attention", None
    server.turn()
    assert (server.made, server.later) == ([], [])


def test_nobody_waits_for_ever_for_a_script(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "TRIES", 3)
    server = Server(runner=object())
    served(server)()
    for _ in range(4):
        server.turn()
    assert (server.made, server.later) == ([], [])


def test_a_server_that_has_ended_is_no_fault(served: Any) -> None:
    server = Server()
    wakes = served(server)

    def closed(*_: object) -> None:
        raise RuntimeError("Event loop is closed")

    server.session._event_loop.call_soon_threadsafe = closed
    wakes()


@pytest.mark.parametrize("change", ["left", "another page"])
def test_nobody_is_woken_who_has_gone(served: Any, change: str) -> None:
    server = Server()
    wakes = served(server)
    server.open = change != "left"
    server.session._client_state.page_script_hash = "attention" if change == "another page" else "explain"
    wakes()
    server.turn()
    assert server.made == []


def test_another_inside_of_streamlit_is_no_fault(served: Any) -> None:
    server = Server()
    del server.session._create_scriptrunner
    assert served(server) is None


def test_what_fails_there_is_not_thrown_into_the_loop(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.session._create_scriptrunner = lambda _: 1 / 0
    served(server)()
    server.turn()
    assert "fault" in caplog.text


def test_without_a_server_nobody_is_woken() -> None:
    assert wake.waker() is None


def test_a_job_wakes_its_page_once_when_there_is_news(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "waiting", lambda: 0)
    whole = tiny.explain("a good movie", checks=("completeness",))
    woken: list[bool] = []
    job = Job(Request(("a good movie",)), "tiny")
    watch(job, Drawn(None, 0.0, 0.0), lambda: woken.append(job.over))
    job.tell(Progress("words", 1, 2))
    assert woken == [], "a longer bar is no news"
    job.tell(Progress("words", 1, 2), whole)
    job.tell(Progress("words", 2, 2), whole)
    assert woken == [False], "once, until the page is drawn"
    watch(job, Drawn(whole, 0.0, 0.0), lambda: woken.append(job.over))
    job.tell(Progress("words", 2, 2), whole)
    assert woken == [False], "nothing new"
    job.end("cancelled", Cancelled("The explanation was cancelled."))
    assert woken == [False, True]
