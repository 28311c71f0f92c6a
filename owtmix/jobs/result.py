"""What a run tells at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from owtmix.plan.device import RenderDevice
from owtmix.plan.input_report import InputReport
from owtmix.plan.model import to_json
from owtmix.produce.production import ProductionResult


def job_result(
    product: ProductionResult, inputs: Sequence[InputReport], address: str, render_device: RenderDevice
) -> dict[str, Any]:
    """What was made of ``inputs``, where it is, and with what it was made, as JSON values."""
    plan, lost = product.plan, product.lost
    picture = plan.picture
    left_out = [*((plan.sources[number].key, reason) for number, reason in lost.items()), *plan.left_out]
    return {
        "job_id": plan.job_id,
        "output": address,
        "duration_s": float(plan.duration_s),
        "frames": picture.frames if picture else 0,
        "chunks": {"total": product.chunks, "reused": product.reused},
        "device": {
            "composed_on": list(product.devices),
            "encoder": picture.encoding.encoder,
            "why": render_device.why,
        }
        if picture
        else None,
        "streams": {"used": list(map(str, plan.presence)), "left_out": list(map(str, plan.absent))},
        "files": {
            "used": [source.key for number, source in enumerate(plan.sources) if number not in lost],
            "left_out": [{"file": key, "reason": reason} for key, reason in left_out],
        },
        "inputs": to_json(inputs),
    }
