"""A worker that does on purpose what a broken one does by accident. The question's first text says what.

    python -P -m tests.faulty_worker

It speaks the real protocol over the real pipes, without torch, so that it starts in a moment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import numpy as np

from explain.catalog import PredictRequest, Progress
from explain.records import Prediction
from explain.service.worker import Wire, die_with_parent, private_pipes

DONE = Prediction(("NO", "YES"), np.array([0, 1], "f4"), np.array([0.25, 0.75], "f4"), "softmax", "argmax", (1,))


def misbehave(wire: Wire, number: str, how: str, raw: int) -> None:
    """Do what `how` says; returns only if the question may be answered all the same."""
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "crash late":
        wire.say("loaded", number)
        wire.say("progress", number, Progress("Almost", 1), None)
        os._exit(3)
    if how == "garbage":
        os.write(raw, b"Traceback (most recent call last):\n" * 50)
        time.sleep(60)
    if how == "half a message":
        os.write(raw, b"WHY1\0\0\0\0\0\0\1\0abc")
        os._exit(0)
    if how == "huge":
        os.write(raw, b"WHY1" + b"\xff" * 8)
        time.sleep(60)
    if how == "print":
        print("a library says hello", flush=True)
        subprocess.run(["echo", "and so does its child"], check=True)
    if how == "stale":
        wire.say("failed", "another question", "InputError", "Not yours.", "input_error")
    if how == "freeze":
        wire.say("loaded", number)
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "unlisted":
        wire.say("failed", number, "SystemExit", "Nonsense.", "nonsense")
        return
    if how == "load for ever":
        time.sleep(600)
    if how == "load slowly":
        time.sleep(2.5)
    wire.say("loaded", number)
    if how == "obey":
        wire.cancel.wait(30)
        wire.say("failed", number, "Cancelled", "Stopped.", "cancelled")
        return
    if how == "hang":
        time.sleep(60)
    wire.say("done", number, DONE)


def main() -> None:
    """Serve."""
    die_with_parent()
    inward, outward = private_pipes()
    wire = Wire(inward, outward)
    threading.Thread(target=wire.listen, daemon=True).start()
    while True:
        number, _model, question = wire.next()
        how = question.texts[0] if isinstance(question, PredictRequest) else ""
        misbehave(wire, number, how, outward.fileno())


if __name__ == "__main__":
    main()
