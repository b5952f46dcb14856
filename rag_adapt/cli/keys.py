"""`rag-adapt keys`: API keys of the service: create, list, revoke, forget.

It does not know how a key is stored or checked.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rag_adapt.cli.console import print_json, print_table, settings_of

if TYPE_CHECKING:
    from rag_adapt.keys.store import KeyStore

app = typer.Typer(help="API keys of the service: who may call it, what for.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The key's name: a-z, 0-9 and '-'.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("create")
def create(
    context: typer.Context,
    name: Name,
    scope: Annotated[
        str, typer.Option(help="chat, bench (includes chat) or admin (includes bench).")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, once: only a hash of it is kept."""
    from rag_adapt.keys.key import scope_named

    made = _store(context).create(name, scope_named(scope))
    if as_json:
        print_json(asdict(made.key) | {"token": made.token.reveal()})
        return
    typer.echo(made.token.reveal())
    typer.echo(
        f"This is the key {name!r} with scope {scope}. It is not shown again. Send it as\n"
        "  Authorization: Bearer <key>",
        err=True,
    )


@app.command("list")
def list_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the keys: names, scopes, dates; never the keys themselves."""
    keys = _store(context).records()
    if as_json:
        print_json([asdict(key) for key in keys])
        return
    print_table(
        ("name", "scope", "created", "revoked", "id"),
        [(k.name, k.scope, _day(k.created), _day(k.revoked), k.id) for k in keys],
    )


@app.command("revoke")
def revoke(context: typer.Context, name: Name) -> None:
    """Close a key at once, in running services too. Keys stay required (see `forget`)."""
    key = _store(context).revoke(name)
    typer.echo(f"{key.name}: revoked")


@app.command("forget")
def forget(context: typer.Context, name: Name) -> None:
    """Delete a revoked key's record. Without any record, 127.0.0.1 needs no key again."""
    _store(context).forget(name)
    typer.echo(f"{name}: forgotten")


def _store(context: typer.Context) -> "KeyStore":
    from rag_adapt.keys.store import KeyStore

    return KeyStore(settings_of(context).home)


def _day(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
