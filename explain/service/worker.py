"""The worker's main program: reads questions from standard input, writes answers to what was standard output.

A stray `print` of a library must not break the protocol: it is sent to standard error before anything is imported.
The process ends when its standard input ends, that is: when the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging.config
import os
import queue
import signal
import sys
import threading
import time
from functools import partial
from typing import Any, BinaryIO

from explain import errors, journal
from explain.catalog import Progress
from explain.errors import Cancelled, ExplainError
from explain.records import Explanation
from explain.service import messages
from explain.service.job import Asked
from explain.settings import settings

QUIET = 0.1
"""Seconds between two reports of progress that bring nothing to show."""
UNKNOWN = "The explanation failed for a reason that Whyboard does not know; the log says more."
"""What is said of a fault that nobody foresaw."""
_PR_SET_PDEATHSIG = 1


class Wire:
    """Both ends of the pipe, and the question that is being answered."""

    def __init__(self, inward: BinaryIO, outward: BinaryIO) -> None:
        self.questions: queue.SimpleQueue[tuple[str, str, Asked]] = queue.SimpleQueue()
        self.cancel, self.enough = threading.Event(), threading.Event()
        self._inward, self._outward = inward, outward

    def say(self, *message: Any) -> None:
        """Send a message; ends the process if nobody is there to read it."""
        try:
            messages.write(self._outward, messages.pack(message))
        except OSError:
            os._exit(0)

    def next(self) -> tuple[str, str, Asked]:
        """Wait for a question: its number, the model, and what is asked."""
        return self.questions.get()

    def listen(self) -> None:
        """Take in what comes, while the main thread computes; never returns."""
        with contextlib.suppress(EOFError, OSError, messages.Garbled):
            while True:
                kind, number, *rest = messages.read(self._inward)
                if kind == "ask":
                    # A question comes after the last one was answered: these are the new one's.
                    self.cancel, self.enough = threading.Event(), threading.Event()
                    self.questions.put((number, *rest))
                else:
                    (self.cancel if kind == "cancel" else self.enough).set()
        os._exit(0)  # whatever is running, nobody waits for it


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard input and output for the protocol; everybody else gets nothing to read, and standard error."""
    inward, outward = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(inward, "rb"), os.fdopen(outward, "wb")


def die_with_parent() -> None:
    """Have the system kill this process when the thread that started it ends; elsewhere than on Linux, do nothing.

    The closed pipe says the same, but only to a process that can still listen.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Serve until the pipe closes."""
    die_with_parent()
    wire = Wire(*private_pipes())
    logging.config.dictConfig(journal.config("WARNING"))  # an exception's own words may hold a text
    journal.leave_no_dump()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal goes to all; the parent decides
    threading.Thread(target=wire.listen, name="listen", daemon=True).start()
    from explain.service.child import answer, facts  # torch
    from explain.service.models import Models

    limits = settings()
    models = Models(limits.models, limits.model_memory)
    while True:
        number, name, question = wire.next()
        cancel, enough, last = wire.cancel, wire.enough, 0.0

        def listen(progress: Progress, known: Explanation | None, number: str = number) -> None:
            nonlocal last
            if known is not None or time.monotonic() - last > QUIET:
                last = time.monotonic()
                wire.say("progress", number, progress, known)

        try:
            listen(Progress("Loading the model", 0), None)
            model = models.get(name)
            wire.say("loaded", number)
            if cancel.is_set():
                raise Cancelled("The explanation was cancelled.")
            found = answer(model, question, listen, partial(wire.say, "forecast", number), cancel, enough)
            wire.say("facts", number, facts(model), name, models.names)
            wire.say("done", number, found)
        except ExplainError as error:
            wire.say("failed", number, _kind(error), str(error), error.code)
        except Exception:  # the process must outlive any fault of a model; the log has the rest
            journal.fault(question=number)
            wire.say("failed", number, "ExplainError", UNKNOWN, "error")


def _kind(error: ExplainError) -> str:
    """The class of ours that it is, or is made from: a plugin's own is not known to who reads this."""
    return next(kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)


if __name__ == "__main__":
    main()
