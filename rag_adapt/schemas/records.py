"""Documents that the service hands out as they were kept: cards, answers, reports, states.

It does not know how any of them is made. Clients import them from here and need nothing below.
"""

from rag_adapt.adapters.card import Card
from rag_adapt.bench.compare import Comparison
from rag_adapt.bench.figures import Report
from rag_adapt.bench.store import AnswerRow
from rag_adapt.jobs.job import State as JobState

__all__ = ["AnswerRow", "Card", "Comparison", "JobState", "Report"]
