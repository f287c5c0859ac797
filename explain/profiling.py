"""Where the time of a run went: a table by stage, and a flame graph to look into.

Samples the stack once a millisecond with pyinstrument (BSD-3, the extra `profile`); a sample belongs to the innermost
frame that names a stage. The page that it writes opens offline, and holds neither the text nor the command line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explain import bundled
from explain.errors import InputError

INTERVAL = 0.001
"""Seconds between two samples."""
REST = "everything else"
_SHUT = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:\">"
)  # the page would fetch its fonts from another machine
_STAGES = {
    "model/loading.py": "load the model",
    "model/encoding.py": "tokenise",
    "model/runner.py call": "forward",
    "model/runner.py _gradients": "backward",
    "render/": "render",
    "checks/": "checks, without passes",
    "methods/": "methods, without passes",
}


@dataclass
class Profile:
    """Seconds by stage, longest first; empty until the profiled block has ended."""

    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def profiled(page: Path) -> Iterator[Profile]:
    """Profile this thread while the block runs, and write the flame graph to `page`, an HTML file.

    Raises:
        InputError: the extra is not installed, or the file cannot be written.
    """
    try:
        from pyinstrument import Profiler
        from pyinstrument.renderers import HTMLRenderer
    except ImportError:
        raise InputError(
            f"A profile needs the package pyinstrument. Run `{bundled.installing('profile')}`.", code="no_profiler"
        ) from None
    try:
        page.touch()  # before the work: a place that cannot be written to is no surprise at its end
    except OSError as error:
        raise InputError(f"The profile cannot be written: {error.strerror}.", code="bad_path") from None
    found, profiler = Profile(), Profiler(interval=INTERVAL, async_mode="disabled")
    with profiler:
        yield found
    session = profiler.last_session
    if session is None:
        return
    session.target_description = "explain"  # else where it was called from
    page.write_text(HTMLRenderer().render(session).replace("<head>", f"<head>{_SHUT}", 1), "utf-8")
    root, sums = session.root_frame(), defaultdict[str, float](float)
    if root is not None:
        _add(root, REST, sums)
    found.seconds = dict(sorted(sums.items(), key=lambda item: -item[1]))


def _add(frame: Any, stage: str, sums: dict[str, float]) -> None:
    """Add the time of a frame without its children to its stage, and so on downwards."""
    stage = _stage(frame.file_path or "", frame.function) or stage
    sums[stage] += frame.time - sum(child.time for child in frame.children)
    for child in frame.children:
        _add(child, stage, sums)


def _stage(path: str, function: str) -> str | None:
    _, here, inside = path.replace("\\", "/").rpartition("/explain/")
    if not here:
        return None
    if function == "<module>":
        return "import"
    named = f"{inside} {function}"
    return next((stage for where, stage in _STAGES.items() if named.startswith(where)), None)
