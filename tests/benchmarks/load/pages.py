"""Does a page show its own texts among many sessions (L7), and is nothing left of those that come and go (L9)?

    python -m tests.benchmarks.load.pages [--sessions 32] [--texts 5] [--visits 500]
    python -m tests.benchmarks.load.pages --texts 20 --clients 16 --calls 85 --visits 0

Sessions speak Streamlit's own WebSocket protocol, without a browser. What a session shows for a text must be what one
session alone shows for it, but for clock times. With `--clients`, REST clients of the same server ask beside them, each
over and over; sessions and clients then share 64 texts, and every answer must be the one that was given to one alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from explain import Client
from explain.errors import BusyError, ExplainError
from tests.benchmarks.load import world as at
from tests.benchmarks.load.__main__ import show
from tests.benchmarks.load.runs import Row
from tests.browser.harness import dashboard
from tests.conftest import undated
from tests.tiny import bert_folder

POLL, WAIT = 0.5, 40
"""Seconds between looks at a page; and until the server has forgotten pages that were left."""
SHARED = 64
"""Texts that sessions and clients ask about where there are both."""


class Session:
    """One page, as the server sees it."""

    def __init__(self, address: str) -> None:
        socket = address.replace("http", "ws") + "/_stcore/stream"
        options = {"origin": address, "subprotocols": ["streamlit"], "max_size": None, "open_timeout": 120}
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(connect(socket, **options))  # type: ignore[arg-type]
        self.shown: list[str] = []
        self._text_area, self._before, self._working, self.errors = "", "", False, 0
        self.run("")

    def run(self, text: str) -> None:
        """Run the page once, with this text in its field ('': the one that it opens with)."""
        ask = BackMsg()
        if text:
            ask.rerun_script.widget_states.widgets.add(id=self._text_area, string_value=text)
        else:
            ask.rerun_script.query_string = ""
        self._socket.send(ask.SerializeToString())
        self.shown, self._working = [], False
        while True:
            said = ForwardMsg.FromString(self._socket.recv(120))  # type: ignore[arg-type]
            element = said.delta.new_element
            if element.HasField("text_area") and element.text_area.label == "Text":
                self._text_area = element.text_area.id
            elif element.HasField("html"):
                self.shown.append(element.html.body)
            elif element.HasField("progress"):
                self._working = True
            elif element.HasField("exception"):
                self.errors += 1
            if said.WhichOneof("type") == "script_finished":
                return

    def explain(self, text: str, seconds: float = 900) -> str:
        """What the page shows once everything about the text is there; '' if it never is."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.run(text)
            page = "\n".join(self.shown)
            # A page that was woken may still have told of the text before; the last word is this one's alone.
            about = re.search(rf"\b{text.split()[-1]}\b", page)
            if about and "wb-how" in page and "Comprehensiveness" in page and not self._working:
                settled = "\n".join(part for part in self.shown if "wb-how" not in part and "<style>" not in part)
                if settled == self._before:
                    return settled
                self._before = settled
            time.sleep(POLL)
        return ""

    def close(self) -> None:
        self._open.close()


class Api:
    """One REST client, which comes again when it is told to."""

    def __init__(self, address: str) -> None:
        self._client, self.errors = Client(f"{address}/api", model="T", timeout=900), 0

    def explain(self, text: str) -> str:
        """The answer's JSON without clock times; '' if there is none."""
        while True:
            try:
                return undated(self._client.explain(text, truncate=True).to_json())
            except BusyError as error:
                time.sleep(error.retry_after or 1)
            except ExplainError as error:
                print(f"  {error.code}: {error}")
                self.errors += 1
                return ""

    def close(self) -> None:
        """Nothing is open."""


def _differing(found: str, true: str) -> str:
    """Where two texts part, with what stands there in both."""
    first = next((i for i, (a, b) in enumerate(zip(found, true, strict=False)) if a != b), min(len(found), len(true)))
    return f"…{found[max(0, first - 60) : first + 60]}… where alone it was …{true[first : first + 60]}…"


def marked(number: int) -> str:
    """A text that ends with a word that no other has, by which a page can be known."""
    return f"{at.text(number)} no{number}"


def crowd(address: str, sessions: int, texts: int, clients: int = 0, calls: int = 0) -> Row:
    """Many sessions at once (L7), and so many REST clients beside them."""
    shared = [marked(i) for i in range(SHARED)]
    every = [
        [shared[(7 * i + j) % SHARED] if clients else marked(100 * i + j) for j in range(texts)]
        for i in range(sessions)
    ] + [[shared[(5 * i + j) % SHARED] for j in range(calls)] for i in range(clients)]
    found: list[tuple[bool, str, str]] = []  # of a page?, text, what was shown or answered
    spent, errors, lock = [], [0], threading.Lock()

    def one(number: int) -> None:
        page = number < sessions
        asking = Session(address) if page else Api(address)
        for text in every[number]:
            began = time.monotonic()
            shown = asking.explain(text)
            with lock:
                found.append((page, text, _plain(shown)))
                spent.append(time.monotonic() - began)
        errors[0] += asking.errors
        asking.close()

    at.together(one, sessions + clients)
    alone: dict[bool, Session | Api] = {True: Session(address), False: Api(address)}
    right = {(page, text): _plain(alone[page].explain(text)) for page, text in {(p, t) for p, t, _ in found}}
    asked = sessions * texts + clients * calls
    ended = sum(bool(shown) for *_, shown in found)
    other = [(page, shown, right[page, text]) for page, text, shown in found if shown and shown != right[page, text]]
    wrong = len(other)
    for page, shown, true in other[:3]:
        print(f"  {'a page' if page else 'an answer'}: {_differing(shown, true)}")
    said = (
        f"{ended} of {asked} finished, {wrong} not as alone, {errors[0]} exceptions, "
        f"{len({shown for *_, shown in found})} different answers; median {statistics.median(spent):.1f} s"
    )
    kept = ended == asked and wrong == 0 and errors[0] == 0
    name = f"{sessions} sessions and {clients} REST clients" if clients else "L7 sessions"
    return Row(name, "0 values of another session; all finish", said, kept)


def visits(address: str, pid: int, count: int) -> Row:
    """L9: sessions that open, look, and leave."""
    for _ in range(20):
        Session(address).close()
    time.sleep(WAIT)
    before, files = at.megabytes(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
    for _ in range(count):
        Session(address).close()
    time.sleep(WAIT)
    after, left = at.megabytes(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
    said = f"{count} visits: {before:.0f} → {after:.0f} MB (+{after - before:.1f}), files +{left - files}"
    return Row("L9 visits", "RSS +≤ 25 MB, files +≤ 5", said, after - before <= 25 and left - files <= 5)


def _plain(page: str) -> str:
    return re.sub(r"[0-9.]+ (?:s|ms|seconds)\b", "", page)


def _server(port: str) -> int:
    """The process that serves at this port."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            try:
                said = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"streamlit" in said and port.encode() in said:
                return int(folder.name)
    raise SystemExit("The server is not there.")


def main() -> None:
    """Print both rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=32)
    parser.add_argument("--texts", type=int, default=5)
    parser.add_argument("--clients", type=int, default=0, help="REST clients beside the sessions")
    parser.add_argument("--calls", type=int, default=85, help="explanations that each of them asks for")
    parser.add_argument("--visits", type=int, default=500)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = bert_folder(Path(folder) / "T", spread=0.05, **at.FIXTURE_T)
        forget = {"STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "10"}
        limits = {**forget, "EXPLAIN_QUEUE": str(max(16, chosen.sessions + chosen.clients))}
        limits |= {"EXPLAIN_CACHE_SECONDS": "0", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        with dashboard(EXPLAIN_MODEL=str(model), EXPLAIN_MODELS_ROOT=folder, **limits) as address:
            urllib.request.urlopen(f"{address}/_stcore/health").read()
            many = (chosen.sessions, chosen.texts, chosen.clients, chosen.calls)
            rows = [crowd(address, *many)] if chosen.sessions else []
            show(rows)
            if chosen.visits:
                rows.append(visits(address, _server(address.rsplit(":", 1)[1]), chosen.visits))
                show(rows[-1:])
    raise SystemExit(any(not row.kept for row in rows))


if __name__ == "__main__":
    main()
