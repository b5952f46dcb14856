"""Trains adapters of one model of ours, for whatever engine serves them.

It does not know that engine.
"""

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.plan import Base, TrainPlan
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.training import Training, find_trained, trained
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import AdapterRef
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles


class Trainer:
    """One base model with the store of its adapters.

    Args:
        files: The model.
        base: How it is loaded for training.
        template_hash: Of its chat template.
        store: Where adapters live.
    """

    def __init__(
        self, files: ModelFiles, base: Base, template_hash: str, store: AdapterStore
    ) -> None:
        self.files, self.store = files, store
        self._base, self._template_hash = base, template_hash

    def train(self, training: Training, progress: Progress) -> Card:
        """An adapter's card, trained unless the store holds it; see `bench.training`."""
        return self.trained(training.as_plan(), progress)

    def trained(self, plan: TrainPlan, progress: Progress) -> Card:
        """The same from a plan of training."""
        return trained(
            plan,
            base=self._base,
            chat=self.chat,
            template_hash=self._template_hash,
            store=self.store,
            progress=progress,
        )

    def known(self, plan: TrainPlan) -> Card | None:
        """The card of an adapter that this very training made before."""
        return find_trained(
            plan, base=self._base, template_hash=self._template_hash, store=self.store
        )

    def chat(self) -> ChatFormat:
        """The model's chat format."""
        return ChatFormat.load(self.files.path, name=self.files.name)

    def lookup(self, version: str) -> AdapterRef:
        """An adapter's files, verified.

        Raises:
            AdapterError: there is none, it is damaged, or it was trained on another base.
        """
        self.store.check_base(version, self.files.weights)
        return self.store.get(version)
