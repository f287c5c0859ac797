"""The key file: who is in it after several programs changed it at once, as whose it is left, and when it is no more."""

from __future__ import annotations

import multiprocessing
import os
import threading
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from filelock import FileLock

from explain import keys
from explain.errors import InputError
from explain.keys import Holder, Keys


def add(path: Path, name: str, begins: Event) -> None:
    """What a program of its own does."""
    begins.set()
    Keys(path).add(name, "viewer")


def test_two_changes_at_once_both_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the two reads the file only when the other has written it, or both read before either writes."""
    path = tmp_path / "keys"
    for name in ("old", "kept"):
        Keys(path).add(name, "viewer")
    both, writing = threading.Barrier(2), Keys._write

    def write(self: Keys, lines: list[str]) -> None:
        with suppress(threading.BrokenBarrierError):  # let the other read too, unless it has to wait for us
            both.wait(0.5)
        writing(self, lines)

    monkeypatch.setattr(Keys, "_write", write)
    changes = [threading.Thread(target=Keys(path).add, args=("new", "viewer"))]
    changes.append(threading.Thread(target=Keys(path).remove, args=("old",)))
    for change in changes:
        change.start()
    for change in changes:
        change.join()
    assert {who.name for who in Keys(path).holders()} == {"kept", "new"}


def test_programs_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    spawn = multiprocessing.get_context("spawn")
    with FileLock(tmp_path / "keys.lock"):
        begins = spawn.Event()
        other = spawn.Process(target=add, args=(path, "ann", begins))
        other.start()
        assert begins.wait(60)
        other.join(1)
        assert other.is_alive()
        assert not path.exists()
    other.join(60)
    assert Keys(path).holders() == [Holder("ann", "viewer")]


def test_who_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_WAIT", 0.05)
    with FileLock(tmp_path / "keys.lock"), pytest.raises(InputError, match="Try again"):
        Keys(tmp_path / "keys").add("ann", "viewer")


def test_the_file_stays_readable_for_whom_it_was(tmp_path: Path) -> None:
    """The service may be another user than who runs `explain keys`, as in the container."""
    known = Keys(tmp_path / "keys")
    known.add("ann", "viewer")
    if os.getuid() == 0:
        os.chown(known.path, 10001, 10002)
    known.path.chmod(0o640)
    before = known.path.stat()
    known.add("bob", "viewer")
    known.remove("ann")
    after = known.path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".lock") == ["keys"]


def test_a_file_that_is_no_more_opens_nothing(tmp_path: Path) -> None:
    """A mount of the file alone shows what it was, for ever; an open file does too."""
    known = Keys(tmp_path / "keys")
    key, other = known.add("ann", "viewer"), known.add("bob", "viewer")
    with known.path.open() as held:
        mounted = Keys(Path(f"/proc/self/fd/{held.fileno()}"))
        assert mounted.holder(key) == Holder("ann", "viewer")
        known.remove("ann")
        assert mounted.holder(key) is None
        with pytest.raises(InputError, match="Mount its folder"):
            mounted.holders()
    assert known.holder(other) == Holder("bob", "viewer")


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Keys(tmp_path / "file" / "keys").add("ann", "viewer")
