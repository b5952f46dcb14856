"""Tasks: listed, shown, checked, imported; templates read, tried out, stored.

It does not know where skills lie or how they are read.
"""

from collections.abc import Sequence

from rag_adapt.client.connection import Connection, Request, Upload, path
from rag_adapt.schemas.catalog import SkillInfo, SkillList
from rag_adapt.schemas.imports import ImportMapping
from rag_adapt.schemas.skills import (
    Imported,
    Rendered,
    RenderRequest,
    SkillCheck,
    SkillDetail,
    TemplateOrder,
    TemplateStored,
    TemplateText,
)


class Skills:
    """`client.skills`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[SkillInfo]:
        """Bundled and imported ones; one that cannot be used says why.

        Raises:
            ApiError: the service gave no list.
        """
        return self._connection.fetch(SkillList, Request(path="/v1/skills")).data

    def show(self, name: str) -> SkillDetail:
        """What it asks for, how it is scored, which templates it has.

        Raises:
            ApiError: `skill-not-found`.
        """
        return self._connection.fetch(SkillDetail, Request(path=path("skills", name)))

    def check(self, name: str) -> SkillCheck:
        """Every fault, what may be wrong all the same, near-duplicates between splits.

        Raises:
            ApiError: `skill-not-found`.
        """
        request = Request(path=path("skills", name, "check"), patience="work")
        return self._connection.fetch(SkillCheck, request)

    def add(
        self, file: Upload, mapping: ImportMapping, *, documents: Sequence[Upload] = ()
    ) -> Imported:
        """Import a skill from a file of examples; never over one that is there.

        Args:
            file: CSV, TSV, JSON Lines, BIG-Bench or SQuAD.
            mapping: Its name and which columns hold what.
            documents: Markdown and text files for its corpus.

        Raises:
            ApiError: nothing was imported: `skill-exists`, or what is wrong with the file.
        """
        given = mapping.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        request = Request(
            method="POST",
            path="/v1/skills:import",
            form={name: _plain(value) for name, value in given.items()},
            files=[("file", file), *(("documents", one) for one in documents)],
            patience="upload",
        )
        return self._connection.fetch(Imported, request)

    def template(self, skill: str, template: str) -> TemplateText:
        """Both messages of a template, with their placeholders and its hash.

        Raises:
            ApiError: `skill-not-found`, `template-not-found`, or the skill is faulty.
        """
        return self._connection.fetch(TemplateText, Request(path=_place(skill, template)))

    def store_template(self, skill: str, template: str, order: TemplateOrder) -> TemplateStored:
        """Change a template of an imported skill, or add one; the skill's hash changes.

        Raises:
            ApiError: `template-changed`: it is not the one that `replaces` names; `skill-bundled`;
                or the skill would not be sound with it.
        """
        request = Request(method="PUT", path=_place(skill, template), body=order, patience="work")
        return self._connection.fetch(TemplateStored, request)

    def render(self, order: RenderRequest) -> Rendered:
        """The messages that a route would send for an input, examples and passages.

        Raises:
            ApiError: there is no such skill or template, it shows no passages, or the draft that
                stands for it is none.
        """
        request = Request(method="POST", path="/v1/templates:render", body=order, repeatable=True)
        return self._connection.fetch(Rendered, request)


def _place(skill: str, template: str) -> str:
    return path("skills", skill, "templates", template)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
