"""Health in KServe's V2 form, metrics, and the OpenAPI document."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from explain.rest import answers, document
from explain.rest.face import face, route

BOOL = {"type": "boolean"}


@route("GET", "/v2/health/live", "open", tag="Health",
       answers={"type": "object", "required": ["live"], "properties": {"live": BOOL}})  # fmt: skip
async def live(request: Request) -> Response:
    """Whether the process answers at all."""
    return answers.json({"live": True})


@route("GET", "/v2/health/ready", "open", tag="Health",
       answers={"type": "object", "required": ["ready"], "properties": {"ready": BOOL}})  # fmt: skip
async def ready(request: Request) -> Response:
    """Whether new questions should be sent here; 503 once the service is about to stop."""
    here = face(request)
    open_ = not (here.leaving.is_set() or here.engine().stopping)
    return answers.json({"ready": open_}, 200 if open_ else 503)


@route("GET", "/metrics", "see metrics", tag="Health", answers={"type": "string"}, media=("text/plain",))
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    here = face(request)
    return Response(here.metrics.text(), media_type=here.metrics.media)


@route("GET", "/openapi.json", "open", tag="Health")
async def openapi(request: Request) -> Response:
    """This service as an OpenAPI document."""
    return answers.raw(document.written(request.app, request.scope.get("root_path", "")))
