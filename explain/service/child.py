"""How one question is answered, where torch is: the worker's own side, without its pipes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from explain.alignment import AlignRequest
from explain.catalog import Forecast, PredictRequest, Request
from explain.engine import Model
from explain.generation import GenerateRequest, TokensRequest
from explain.heads import HeadRequest, HeadsRequest
from explain.machine import versions
from explain.messages import whole
from explain.methods import find
from explain.model.runner import Meter
from explain.model.views import talks
from explain.service.job import Answer, Asked, Facts, ForecastRequest, Forecasts, InfoRequest
from explain.work import Listener


def answer(
    model: Model,
    question: Asked,
    listen: Listener,
    forecast: Callable[[Forecast], None],
    cancel: threading.Event,
    enough: threading.Event,
) -> Answer:
    """Answer a question about a loaded model.

    `listen` hears of progress and partial results, `forecast` of what an explanation should cost.

    Raises:
        ExplainError: as the methods of Model.
    """
    if isinstance(question, Request):
        forecast(model.forecast(question, cancel))
        return model.answer([question], progress=listen, cancel=cancel, enough=enough)[0]
    if isinstance(question, InfoRequest):
        return model.info
    if isinstance(question, ForecastRequest):
        return Forecasts(tuple(model.forecasts(question.requests, cancel)))
    if isinstance(question, PredictRequest):
        text = whole(question.texts, question.roles)
        about: dict[str, Any] = {name: getattr(question, name) for name in ("truncate", "place", "windows")}
        return model.among(question.candidates).predict_batch([text], **about, meter=Meter(cancel=cancel))[0]
    if isinstance(question, (HeadsRequest, HeadRequest)):
        return model.look(question, progress=listen, cancel=cancel)
    if isinstance(question, GenerateRequest):
        return model.write(question, progress=listen, cancel=cancel)
    if isinstance(question, TokensRequest):
        return model.explain_tokens(question, progress=listen, cancel=cancel, enough=enough)
    if isinstance(question, AlignRequest):
        return model.align(*question.texts, truncate=question.truncate, progress=listen, cancel=cancel)
    return model.walk(question, progress=listen, cancel=cancel)


def facts(model: Model) -> Facts:
    """What is known of a model by now; of claims, those of methods as they are by themselves.

    Somebody who asked with parameters of their own must not decide what others are told of a method.
    """
    claims = {name: claim for (name, params), claim in model.claims.items() if params == find(name).configured({})}
    return Facts(model.info, claims, versions(), torch.get_num_threads(), talks(model))
