"""Fill chat templates in, in a process of its own that may use little time and memory. Run as a script; needs jinja2.

A template is a program that came with somebody's model. Jinja's sandbox keeps it from files and from Python's insides,
not from running for ever or from growing. So it runs here, where the system ends what takes too much, with the names
and the rules that transformers gives it; a test holds both against each other.

Arguments: seconds of a processor and bytes of address space that it may take. Standard input: {"template",
"variables", "conversations", "most", "now"} as JSON, the last being when templates are to believe they are filled in,
null for the clock's time. Standard output: a line of JSON for each conversation: {"text"}, or {"refused"} with what the
template said, "" where that may hold words of the conversation, or {"broken"} with the kind of fault. No line is
written from the one on that takes too much here: as the first of another process it has all limits for itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from jinja2 import Environment, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

SAID = 200
"""Characters of a template's objection."""
_TOO_MUCH = MemoryError, RecursionError, OverflowError


class Refused(TemplateError):
    """The template's own objection, such as to a role that it does not know."""


class _Generation(Extension):
    """`{% generation %}` marks what the assistant wrote, for training; here it is only what stands inside."""

    tags = {"generation"}  # noqa: RUF012  a set, as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class _Namespace(Namespace):
    """Names that begin with an underscore lead to Python's insides."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, rest = args[0], args[1:]
        found = dict(*rest, **kwargs)
        for name in found:
            _proper(name)
        Namespace.__init__(self, found)

    def __setitem__(self, name: str, value: Any) -> None:
        _proper(name)
        super().__setitem__(name, value)


def _proper(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace has no name {name!r}")


class _Dict:
    """Makes dictionaries, and is no class whose attributes lead elsewhere."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


def environment(now: str | None = None) -> Environment:
    """What transformers fills templates in with; `now` as in what is read from standard input."""

    def written_now(form: str) -> str:
        moment = datetime.fromisoformat(now).astimezone().replace(tzinfo=None) if now else datetime.now()
        return moment.strftime(form)

    def refuse(message: object) -> None:
        raise Refused(str(message))

    def tojson(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(
            value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )  # Jinja's own escapes HTML

    found = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    found.filters["tojson"] = tojson
    found.globals.update(
        raise_exception=refuse,
        strftime_now=written_now,
        dict=_Dict(),
        namespace=_Namespace,
    )
    return found


def filled(asked: dict[str, Any]) -> Iterator[dict[str, str]]:
    """What is written to standard output, one for each conversation as far as they may be written."""
    left = int(asked["most"])
    try:
        jinja = environment(asked.get("now"))
        objections = _objections(jinja.parse(asked["template"]))
        template = jinja.from_string(asked["template"])
    except _TOO_MUCH:
        return
    except Exception as error:
        yield _broken(error)
        return
    for conversation in asked["conversations"]:
        parts = []
        try:
            for part in template.generate(messages=conversation, **asked["variables"]):
                parts.append(part)
                left -= len(part)
                if left < 0:
                    return
            answer = {"text": "".join(parts)}
        except Refused as error:
            said = str(error)
            answer = {"refused": said[:SAID] if said in objections else ""}
        except _TOO_MUCH:
            return
        except Exception as error:  # a template may raise whatever Python raises
            answer = _broken(error)
        yield answer


def _broken(error: Exception) -> dict[str, str]:
    return {"broken": type(error).__name__}  # its words may be those of a message


def _objections(parsed: nodes.Template) -> set[str]:
    """What a template can object in words of its own; others may be put together of the conversation's."""
    found = set()
    for call in parsed.find_all(nodes.Call):
        match call:
            case nodes.Call(node=nodes.Name(name="raise_exception"), args=[nodes.Const(value=str(said)), *_]):
                found.add(said)
    return found


def bind(seconds: int, memory: int) -> None:
    """Bind this process to its limits, those of them that the system has."""
    try:
        import resource  # not on Windows, where only the clock ends it
    except ImportError:
        return
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds)):
        with suppress(ValueError, OSError):  # it has no such limit, or a narrower one already
            resource.setrlimit(kind, (most, most))


def main() -> None:
    """Bind this process, then do what it is for."""
    bind(*map(int, sys.argv[1:3]))
    with suppress(MemoryError):  # on the way in or out: what is not answered was too much
        for answer in filled(json.loads(sys.stdin.buffer.read())):
            sys.stdout.buffer.write(json.dumps(answer).encode("ascii") + b"\n")
            sys.stdout.buffer.flush()  # whatever comes of those behind it


if __name__ == "__main__":
    main()
