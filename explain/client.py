"""A thin client of the REST service: the calls of Python's `Model`, the same records, no torch on this side."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from explain import canonical, errors
from explain.alignment import Alignment
from explain.catalog import Forecast, Progress
from explain.errors import OUTCOMES, TYPE, BusyError, ExplainError
from explain.generation import Generation
from explain.messages import Text, parted, whole
from explain.records import Explanation, Prediction
from explain.wire import decode

Listener = Callable[[Progress], None]


class Client:
    """One service, seen from another program.

    Args:
        url: where it is, such as `http://localhost:8600`.
        key: an API key; None for a service on this machine that has none.
        model: the model to ask; None for the service's default.
        timeout: seconds without a sign of life after which to give up.
    """

    def __init__(self, url: str, key: str | None = None, *, model: str | None = None, timeout: float = 180) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise errors.InputError("Expected an address that begins with http:// or https://.", code="bad_address")
        self.url, self.model, self.timeout = url.rstrip("/"), model, timeout
        self._key = key

    def explain(self, text: Text, *, progress: Listener | None = None, **parameters: Any) -> Explanation:
        """Explain one decision; parameters as `Model.explain` takes them.

        Args:
            text: the text, the two of a pair, or the messages of a conversation.
            progress: called with a Progress while the service works.
            parameters: methods, params, target, checks and so on.

        Raises:
            ExplainError: what the service refused, as the class that Python would have raised.
        """
        return decode(Explanation, self._asked("/v1/explain", self._body(_input(text), parameters), progress))

    def explain_batch(self, texts: Sequence[Text], **parameters: Any) -> list[Explanation]:
        """Explain several decisions, in order."""
        found = json.loads(self._call("POST", "/v1/explain", self._body([_input(t) for t in texts], parameters)))
        return [decode(Explanation, json.dumps(one)) for one in found]

    def generate(self, prompt: Text, *, progress: Listener | None = None, **settings: Any) -> Generation:
        """Go on with a text or a conversation, or write about a text; settings as `Model.generate` takes them."""
        return decode(Generation, self._asked("/v1/generate", self._body(_input(prompt), settings), progress))

    def explain_generation(
        self, found: Generation, *, progress: Listener | None = None, **parameters: Any
    ) -> list[Explanation]:
        """Why was each token written? Parameters as `Model.explain_generation` takes them.

        Args:
            found: what the same model wrote, here or elsewhere.
            progress: as in `explain`.
            parameters: places, checks, methods and so on.
        """
        body = {"generation": found, "parameters": self._named(parameters)}
        each = json.loads(self._asked("/v1/explain_generation", body, progress))
        return [decode(Explanation, json.dumps(one)) for one in each]

    def align(self, text: str, written: str, *, progress: Listener | None = None, **parameters: Any) -> Alignment:
        """What each token of `written` hangs on, in both texts; `truncate` as in `Model.align`."""
        body = self._body(_input((text, written)), parameters)
        return decode(Alignment, self._asked("/v1/align", body, progress))

    def predict(self, text: Text, **parameters: Any) -> Prediction:
        """What the model decides, without why; parameters as `Model.predict` takes them."""
        return decode(Prediction, self._call("POST", "/v1/predict", self._body(_input(text), parameters)))

    def predict_batch(self, texts: Sequence[Text], **parameters: Any) -> list[Prediction]:
        """What the model decides about several texts, in order."""
        body = self._body([_input(t) for t in texts], parameters)
        return [decode(Prediction, json.dumps(one)) for one in json.loads(self._call("POST", "/v1/predict", body))]

    def forecast(self, texts: Sequence[Text], **parameters: Any) -> list[Forecast]:
        """What explaining each text would cost: seconds, and bytes of memory; None where that is not known now."""
        body = self._body([_input(t) for t in texts], parameters)
        found = json.loads(self._call("POST", "/v1/forecast", body))
        return [Forecast(*each) for each in zip(found["seconds"], found["memory"], strict=True)]

    def models(self) -> list[str]:
        """Names of the models that may be asked."""
        return list(json.loads(self._call("GET", "/v1/models"))["models"])

    def limits(self) -> dict[str, Any]:
        """Every limit of the service, with its value."""
        return dict(json.loads(self._call("GET", "/v1/limits")))

    def submit(
        self,
        texts: Sequence[Text] | Generation,
        *,
        task: str | None = None,
        key: str | None = None,
        **parameters: Any,
    ) -> str:
        """Begin a job and return its id.

        Args:
            texts: what is asked about; or what a model wrote, whose tokens are explained.
            task: explain (None), predict, generate or align; of what a model wrote, explain_generation (None).
            key: makes sending it twice harmless.
            parameters: those of the task.
        """
        if isinstance(texts, Generation):
            body = {"generation": texts, "parameters": self._named(parameters), "task": task or "explain_generation"}
        else:
            body = self._body([_input(t) for t in texts], parameters) | {"task": task or "explain"}
        headers = {} if key is None else {"Idempotency-Key": key}
        return str(json.loads(self._call("POST", "/v1/jobs", body, headers))["id"])

    def job(self, job: str) -> dict[str, Any]:
        """A job's status, with `results` once it is over."""
        return dict(json.loads(self._call("GET", f"/v1/jobs/{quote(job, safe='')}")))

    def cancel(self, job: str) -> dict[str, Any]:
        """End a job; what it found stays."""
        return dict(json.loads(self._call("POST", f"/v1/jobs/{quote(job, safe='')}:cancel")))

    def resume(self, job: str) -> dict[str, Any]:
        """Go on with what a cancelled or failed job left."""
        return dict(json.loads(self._call("POST", f"/v1/jobs/{quote(job, safe='')}:resume")))

    def _body(self, inputs: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"inputs": inputs, "parameters": self._named(parameters)}

    def _named(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {**({} if self.model is None else {"model": self.model}), **parameters}

    def _asked(self, path: str, body: Any, progress: Listener | None) -> str | bytes:
        """The answer as JSON; `progress` hears of the way to it."""
        if progress is None:
            return self._call("POST", path, body)
        for said in self._lines(path, body):
            if said["event"] == "progress":
                progress(Progress(**said["progress"]))
            elif said["event"] == "error":
                raise _error(said["error"], None)
            elif said["event"] == "result":
                return json.dumps(said["result"])
        raise errors.WorkerError("The service ended its answer before the result. Ask again.")

    def _call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> bytes:
        with self._open(method, path, body, headers or {}) as answer:
            return bytes(answer.read())

    def _lines(self, path: str, body: Any) -> Iterator[dict[str, Any]]:
        with self._open("POST", path, body, {"Accept": "application/jsonl"}) as answer:
            for line in answer:
                yield json.loads(line)

    def _open(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        data = None if body is None else canonical.encode(body)
        request = urllib.request.Request(self.url + path, data, dict(headers), method=method)
        request.add_header("Content-Type", "application/json")
        if self._key is not None:
            request.add_header("Authorization", f"Bearer {self._key}")
        try:
            return urllib.request.build_opener(_Stay).open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise _error(_problem(error.read(100_000)), error.headers.get("Retry-After")) from None
        except TimeoutError:
            raise errors.TimeLimitError(
                f"The service said nothing for {self.timeout:g} s. Ask with a larger timeout, or submit it as a job."
            ) from None
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise errors.WorkerError(
                f"The service cannot be reached ({str(reason)[:80]}). Is `explain serve` running at that address?",
                code="unreachable",
            ) from None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else, whoever says so: the API key would go along."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _input(text: Text) -> Any:
    texts, roles = parted(text)
    if roles:
        return {"messages": whole(texts, roles)}
    if not 1 <= len(texts) <= 2:
        raise errors.InputError(f"Expected one text, or two for a sentence pair, got {len(texts)}.", code="bad_text")
    return texts[0] if len(texts) == 1 else {"text": texts[0], "text_pair": texts[1]}


def _problem(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
        return {name: str(found[name]) for name in ("type", "code", "error")}
    except (ValueError, KeyError, TypeError):
        return {"type": "", "code": "not_ours", "error": "Something that is not this service answered."}


def _error(problem: Mapping[str, Any], retry_after: str | None) -> ExplainError:
    """The error that the service met, as an error of the same class."""
    kind = next((k for k in OUTCOMES if problem["type"] == f"{TYPE}{k.__name__}"), ExplainError)
    if kind is BusyError:
        wait = int(retry_after) if retry_after and retry_after.isdecimal() else 1
        return BusyError(problem["error"], retry_after=wait, code=problem["code"])
    return kind(problem["error"], code=problem["code"])
