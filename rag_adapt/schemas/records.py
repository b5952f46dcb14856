"""Wire models and words that are at home further down: cards, rows, reports, states.

It does not know how any of them is made. A client takes them from here and needs nothing below.
"""

from rag_adapt.adapters.card import Card
from rag_adapt.bench.compare import Comparison
from rag_adapt.bench.figures import Report
from rag_adapt.bench.store import AnswerRow
from rag_adapt.feedback.entry import State as FeedbackState
from rag_adapt.feedback.rows import Kind as ExportKind
from rag_adapt.jobs.job import State as JobState

__all__ = ["AnswerRow", "Card", "Comparison", "ExportKind", "FeedbackState", "JobState", "Report"]
