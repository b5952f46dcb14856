"""One skill on the wire: what it is, whether it is sound, what it sends.

It does not know where skills lie or how they are read.
"""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from rag_adapt.core.types import Role
from rag_adapt.schemas.catalog import SkillInfo
from rag_adapt.schemas.orders import Order, SkillName
from rag_adapt.schemas.wire import Wire
from rag_adapt.skills.formats import Format

Text = Annotated[str, StringConstraints(max_length=100_000)]
TEMPLATE_NAME: Final = r"^[A-Za-z0-9_-]{1,60}$"
Wording = Annotated[str, StringConstraints(max_length=50_000)]
"""One message of a template."""


class ExampleText(Order):
    """A worked problem."""

    input: Text
    output: Text


class SkillDetail(SkillInfo):
    """`GET /v1/skills/{name}`; where there is a fault, everything after it is null."""

    scorers: list[str] | None = None
    """Further scorers."""
    max_tokens: int | None = None
    """Longest answer."""
    stop: list[str] | None = None
    cluster: str | None = None
    """In words: what the items of one cluster share."""
    licence: str | None = None
    source: str | None = None
    templates: list[str] | None = None
    """Their names, for `POST /v1/templates:render`."""
    sample: ExampleText | None = None
    """The first training item, to try a template with; null also where it is very long."""


class SplitInfo(Wire):
    """One split in numbers; lengths in characters."""

    split: str
    items: int
    clusters: int
    median_input: int
    longest_input: int
    longest_target: int
    with_gold: int
    """Items that name gold passages."""


class NearDuplicates(Wire):
    """Two items of different splits with nearly the same input."""

    left: str
    right: str
    similarity: float
    """Jaccard similarity of their word pairs."""


class SkillCheck(Wire):
    """`GET /v1/skills/{name}/check`."""

    name: str
    sound: bool
    faults: list[str]
    """The first 100; while there is any, the skill cannot be used and the rest is empty."""
    warnings: list[str]
    splits: list[SplitInfo]
    documents: int
    near_duplicates: list[NearDuplicates]
    """The first 100."""


class Imported(Wire):
    """What came of an import."""

    name: str
    format: Format
    rows: int
    """Usable rows of the file."""
    items: dict[str, int]
    """Number of items by split."""
    left_out: list[str]
    """Bad rows, the first 100."""
    notes: list[str]


class TemplateDraft(Order):
    """A template that is being written."""

    system: Wording
    """May be empty: then no system message is sent."""
    user: Wording
    """Holds `{input}`."""


class RenderRequest(Order):
    """What a template shall show."""

    skill: SkillName
    template: Annotated[str, StringConstraints(pattern=TEMPLATE_NAME)] = "prompt"
    """The name of one of the skill's templates."""
    draft: TemplateDraft | None = None
    """Shown in its place; nothing is stored."""
    input: Text
    examples: Annotated[list[ExampleText], Field(max_length=64)] = Field(default_factory=list)
    """Shown as chat turns before the question."""
    passages: Annotated[list[Text], Field(max_length=64)] = Field(default_factory=list)
    """Only for a template that shows passages."""


class RenderedMessage(Wire):
    """One chat message."""

    role: Role
    content: str


class Rendered(Wire):
    """`POST /v1/templates:render`: exactly what a route would send."""

    skill: str
    template: str
    hash: str
    """Of the template."""
    messages: list[RenderedMessage]


class TemplateText(Wire):
    """`GET /v1/skills/{name}/templates/{template}`."""

    skill: str
    template: str
    system: str
    user: str
    hash: str
    """Of both texts: send it back as `replaces` to change them."""
    shows_passages: bool
    editable: bool
    """Whether the skill was imported: bundled ones stay as they are."""


class TemplateOrder(TemplateDraft):
    """What shall stand in a template from now on."""

    replaces: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")] | None = None
    """`hash` of what was looked at; null makes a new template."""


class TemplateStored(Wire):
    """What a change of a template came to."""

    skill: str
    template: str
    hash: str
    data_hash: str
    """Of the skill with this template: runs and adapters name it."""
    data_hash_before: str
    adapters: list[str]
    """Versions that were trained with the text that stood here: routes refuse them now."""
