"""Questions other than why: where heads look, and what happens inside. Each is answered from one case."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np

from explain.aligning import aligned, require
from explain.alignment import Alignment, AlignRequest
from explain.catalog import Request
from explain.continuing import continued
from explain.drive import answer
from explain.errors import InputError
from explain.generation import GenerateRequest, Generation
from explain.heads import HeadMap, HeadRequest, HeadsReport, HeadsRequest, StackReport, StackRequest
from explain.lens import Inside, InsideRequest, LensRequest, PatchRequest
from explain.looking import head_map, heads_report, stack_report
from explain.model.direct import slopes
from explain.model.inside import has_decoder
from explain.model.written import require_stack
from explain.probes.direct import direct
from explain.probes.lens import lens
from explain.probes.patching import patch
from explain.probes.road import entering, road
from explain.records import Kind
from explain.road import Road, RoadRequest
from explain.work import Work


def look(work: Work, question: HeadsRequest | HeadRequest) -> HeadsReport | StackReport | HeadMap:
    """Answer a question about attention."""
    kind = question.kind if isinstance(question, (StackRequest, HeadRequest)) else None
    if kind is not None and kind not in get_args(Kind):
        raise InputError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r:.40}.", code="bad_kind")
    if isinstance(question, HeadRequest):
        _require_whole(layer=question.layer, head=0 if question.head is None else question.head)
    for word in question.masked:
        _require_whole(word=word)
    stage = "Reading the attention"
    if isinstance(question, HeadRequest):
        encoding = work.read(question.about, stage, question.masked)
        return head_map(encoding, work.model.info, lambda ask: answer(work.model, ask, work.meter), question)
    case = work.case(question.about, stage, question.masked)
    require_stack([case.row()], kind)
    found: HeadsReport | StackReport
    if isinstance(question, StackRequest):
        found = stack_report(case, question, work.provenance(case))
    else:
        found = heads_report(case, question, work.provenance(case))
    return replace(found, provenance=work.provenance(case))


def walk(work: Work, question: RoadRequest | InsideRequest) -> Road | Inside:
    """Answer a question about what happens inside."""
    if question.about.candidates is not None or question.about.continuation is not None:
        raise InputError(
            "What happens inside is followed to the model's own answer: ask without candidate labels or continuation.",
            code="bad_task",
        )
    if isinstance(question, RoadRequest):
        _require_whole(layer=question.layer, head=question.head, token=question.token)
    case, model, meter = work.case(question.about, "Following the word through the model"), work.model, work.meter
    require_stack([case.row()])
    found: Road | Inside
    if isinstance(question, RoadRequest):
        found = road(case, question, model, meter, work.provenance(case))
    elif isinstance(question, LensRequest):
        found = lens(case, entering(case, model, meter), work.provenance(case), decoder=has_decoder(model.module))
    elif isinstance(question, PatchRequest):
        found = patch(case, question.other, work.provenance(case))
    else:
        found = direct(case, slopes(model, case.row(), meter), work.provenance(case))
    return replace(found, provenance=work.provenance(case))


def go_on(work: Work, question: GenerateRequest) -> Generation:
    """Let the model write."""
    work.begin("Writing")
    seed = question.seed or 0
    found = continued(work.model, question, work.meter, work.provenance(None, seed))
    return replace(found, provenance=work.provenance(None, seed))


def align(work: Work, question: AlignRequest) -> Alignment:
    """Measure what every written token hangs on."""
    require(work.model, question)
    case = work.case(Request(question.texts, truncate=question.truncate), "Taking out one word after the other")
    found = aligned(work.model, case, work.meter, work.provenance(case))
    return replace(found, provenance=work.provenance(case))


def _require_whole(**numbers: object) -> None:
    """Raise InputError for what could be taken for a number, but would be recorded or cut as something else."""
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise InputError(f"{name} must be a whole number, got {value!r:.40}.", code=f"bad_{name}")
