"""`/v1/system`: what `rag-adapt doctor` says of this machine, and what answers here.

It does not know any check.
"""

import asyncio
import time
from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter, Request

from rag_adapt import __version__
from rag_adapt.api.checkup import Checkup
from rag_adapt.api.desk import shown
from rag_adapt.core.types import Fingerprint
from rag_adapt.doctor.examine import is_healthy
from rag_adapt.schemas.system import EngineInfo, FindingInfo, SystemInfo
from rag_adapt.serving.service import Service

router = APIRouter(tags=["catalog"])
SYSTEM: Final[dict[str, Any]] = {
    "healthy": True,
    "uptime": 3600.5,
    "versions": {"rag-adapt": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu"},
    "engine": {
        "engine": "embedded",
        "model": "default",
        "weights": "8b1f0c2a7d3e",
        "dtype": "bfloat16",
        "device": "cpu",
    },
    "checked": 1790000000.0,
    "findings": [
        {"name": "cores", "state": "ok", "what": "2 cores", "remedy": ""},
        {
            "name": "skills",
            "state": "fault",
            "what": "skill 'orders' has 1 fault",
            "remedy": "rag-adapt skills check .rag-adapt/skills/orders",
        },
    ],
}


@router.get(
    "/v1/system",
    summary="Examine the machine",
    operation_id="system",
    response_model=SystemInfo,
    responses=shown(SYSTEM),
    openapi_extra={"x-scope": "admin"},
)
async def system(request: Request) -> SystemInfo:
    """Every finding of `rag-adapt doctor`, versions, the engine and how long the service runs.

    The machine is examined anew after 10 s at the earliest; 503 where that takes over 30 s.
    Findings and remedies name files and processes of the server.
    """
    service: Service = request.app.state.service
    checkup = request.app.state.checkup
    assert isinstance(checkup, Checkup)  # made with the application
    examined = await checkup.ask()
    fingerprint = await asyncio.to_thread(lambda: service.live.engine.fingerprint)
    return SystemInfo(
        healthy=is_healthy(examined.findings),
        uptime=round(time.monotonic() - checkup.begun, 3),
        versions={"rag-adapt": __version__, **examined.versions},
        engine=_engine(fingerprint),
        checked=examined.at,
        findings=[FindingInfo(**asdict(finding)) for finding in examined.findings],
    )


def _engine(fingerprint: Fingerprint) -> EngineInfo:
    return EngineInfo(
        engine=fingerprint.engine,
        model=fingerprint.model,
        weights=fingerprint.weights,
        dtype=fingerprint.dtype,
        device=fingerprint.device,
    )
