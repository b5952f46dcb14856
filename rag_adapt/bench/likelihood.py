"""Scores every label under the very messages that were answered: form apart from knowledge.

It does not know which label is right.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from rag_adapt.core.errors import NoLogProbsError
from rag_adapt.core.protocols import Engine
from rag_adapt.core.types import Sent


async def bits_of_labels(
    engine: Engine, sent: Sent, labels: Sequence[str]
) -> dict[str, float] | None:
    """Bits per UTF-8 byte of each label as the answer; None where the engine cannot say.

    Length-normalised by bytes, as lm-evaluation-harness's `acc_bytes` does, so that long labels
    are not worse off and tokenizers do not matter.
    """
    ask: Any = getattr(engine, "logprobs", None)
    if ask is None or not sent.messages:
        return None
    try:
        found = await asyncio.gather(*(ask(sent.messages, label, sent.adapter) for label in labels))
    except NoLogProbsError:
        return None
    return {
        label: -one.total / math.log(2) / max(1, one.text_bytes)
        for label, one in zip(labels, found, strict=True)
    }
