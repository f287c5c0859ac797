"""Questions other than why: where heads look, and what happens inside. Each is answered from one case."""

from __future__ import annotations

from dataclasses import replace

from explain.heads import HeadMap, HeadRequest, HeadsReport, HeadsRequest
from explain.lens import Inside, InsideRequest, LensRequest, PatchRequest
from explain.looking import head_map, heads_report
from explain.model.direct import slopes
from explain.probes.direct import direct
from explain.probes.lens import lens
from explain.probes.patching import patch
from explain.probes.road import entering, road
from explain.road import Road, RoadRequest
from explain.work import Work


def look(work: Work, question: HeadsRequest | HeadRequest) -> HeadsReport | HeadMap:
    """Answer a question about attention."""
    case = work.case(question.about, "Reading the attention", question.masked)
    if isinstance(question, HeadRequest):
        return head_map(case, question)
    return replace(heads_report(case, question, work.provenance(case)), provenance=work.provenance(case))


def walk(work: Work, question: RoadRequest | InsideRequest) -> Road | Inside:
    """Answer a question about what happens inside."""
    case, model, meter = work.case(question.about, "Following the word through the model"), work.model, work.meter
    found: Road | Inside
    if isinstance(question, RoadRequest):
        found = road(case, question, model, meter, work.provenance(case))
    elif isinstance(question, LensRequest):
        found = lens(case, entering(case, model, meter), work.provenance(case))
    elif isinstance(question, PatchRequest):
        found = patch(case, question.other, work.provenance(case))
    else:
        found = direct(case, slopes(model, case.row(), meter), work.provenance(case))
    return replace(found, provenance=work.provenance(case))
