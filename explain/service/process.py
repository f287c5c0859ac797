"""One worker process, as its owner sees it: messages in, messages out, and an end that is certain."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr

import explain
from explain.errors import WorkerError
from explain.service import messages
from explain.settings import Settings

COMMAND = (sys.executable, "-P", "-m", "explain.service.worker")
"""Not `multiprocessing`: a spawned child of that would run the caller's main script again."""
_LOST = ("lost",)
_SECRET = {f"EXPLAIN_{n}".upper() for n, field in Settings.model_fields.items() if field.annotation is SecretStr}
"""What the worker is not told, since models of strangers are computed there."""
_PIPE = 2**20
"""Bytes that a pipe holds: what Linux gives to everybody; with its usual 64 KiB a long answer takes 15 times as many
turns of the two processes."""


class Process:
    """A started worker. It ends by itself when this process ends, however that happens: its standard input closes."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        place = str(Path(explain.__file__).resolve().parents[1])  # the same code as here, wherever that is
        path = os.pathsep.join(filter(None, (place, os.environ.get("PYTHONPATH"))))
        env = {n: v for n, v in os.environ.items() if n.upper() not in _SECRET} | {"PYTHONPATH": path}
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        except OSError as error:
            raise WorkerError(f"The process that computes could not be started: {error.strerror}.") from error
        _widen(self._process.stdin, self._process.stdout)
        self._heard: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for work in (self._read, self._write):  # pipes block; whoever owns this must not
            threading.Thread(target=work, name=f"explain-{work.__name__}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    def say(self, *message: Any) -> None:
        """Send a message; one to a process that is gone is dropped, which `hear` tells. Raises TypeError as `pack`."""
        self._said.put(messages.pack(message))

    def hear(self, timeout: float) -> tuple[Any, ...] | None:
        """The next message; None if none comes within `timeout` seconds.

        Raises:
            WorkerError: the process is gone, or talks nonsense.
        """
        with contextlib.suppress(queue.Empty):
            message = self._heard.get(timeout=timeout)
            if message == _LOST:
                self._heard.put(_LOST)
                raise WorkerError("The process that computes ended before it answered. Ask again.")
            return message
        return None

    def end(self) -> None:
        """Kill it and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._said.put(None)

    def _read(self) -> None:
        stream = cast(Any, self._process.stdout)
        try:
            while True:
                message = messages.read(stream)
                if not isinstance(message, tuple) or not message:
                    raise messages.Garbled
                self._heard.put(message)
        except (EOFError, OSError, messages.Garbled):
            self._heard.put(_LOST)
            self._process.kill()  # after nonsense nothing that it says can be trusted
            stream.close()

    def _write(self) -> None:
        stream = cast(Any, self._process.stdin)
        with contextlib.suppress(OSError, ValueError):
            while (packed := self._said.get()) is not None:
                messages.write(stream, packed)
        with contextlib.suppress(OSError):
            stream.close()


def _widen(*streams: Any) -> None:
    """Let pipes hold more, where the system can and allows it."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl  # not everywhere

        for stream in streams:
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, _PIPE)
