"""Verbs of the weights: list, show, verify."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrogalaxy.cli.common import argument

if TYPE_CHECKING:
    from astrogalaxy.models import Card, Weights

__all__ = ["app"]

Name = Annotated[str, typer.Argument(metavar="WEIGHTS", help="Name or path.")]

app = typer.Typer(help="Weight files: list them, show their cards, verify them.", no_args_is_help=True)


@app.command("list", epilog="Example: astrogalaxy weights list")
def weights_list() -> None:
    """List the weights that come with astrogalaxy."""
    from astrogalaxy.models import bundled, card_of

    for name, path in bundled().items():
        card = card_of(path)
        kind = getattr(card, "size", "") or getattr(card, "architecture", "")
        if (zoom := getattr(card, "zoom", 1.0)) != 1:
            kind += f" on images magnified by {zoom:g}"
        typer.echo(f"{name}  {card.version}  {card.task}, {kind}, {card.licence}")


@app.command("show", epilog="Example: astrogalaxy weights show default")
def weights_show(name: Name = "default") -> None:
    """Print the card of a weight file."""
    weights = _named(name).verified()
    megabytes = weights.path.stat().st_size / 1e6
    typer.secho(f"{weights.card.name} {weights.card.version}", bold=True)
    typer.echo(f"{weights.path}, {megabytes:.1f} MB\n")
    for key, value in weights.card.rows():
        if key not in {"name", "version"}:
            typer.echo("\n".join(_entry(key, value)))


def _named(name: str) -> Weights[Card]:
    from astrogalaxy.models import open_weights

    with argument():
        return open_weights(name)


def _entry(key: str, value: Any) -> list[str]:
    """The lines of one field of a card."""
    words = key.replace("_", " ")
    if isinstance(value, dict):
        return [f"{words}:", *(f"    {name.replace('_', ' '):28} {_short(item)}" for name, item in value.items())]
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        lines = [part for item in value for part in wrap(item, 88, initial_indent="  - ", subsequent_indent="    ")]
        return [f"{words}:", *lines]
    return wrap(f"{words + ':':18} {_short(value)}", 92, subsequent_indent=" " * 19, break_long_words=False)


def _short(value: Any) -> str:
    """A value in words: numbers to four digits, curves by what they say at most."""
    if hasattr(value, "model_dump"):
        return ", ".join(f"{name} {_short(item)}" for name, item in value.model_dump().items() if item)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        worst = max(abs(float(said) - float(was)) for said, was, _ in value)
        return (
            f"{len(value)} bins of {sum(int(n) for *_, n in value)}; predicted and observed differ by up to {worst:.3f}"
        )
    if isinstance(value, tuple):
        return " to ".join(map(_short, value)) if len(value) == 2 else ", ".join(map(_short, value))
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


@app.command("verify", epilog="Example: astrogalaxy weights verify default")
def weights_verify(name: Name = "default") -> None:
    """Check a weight file against the hash in its card."""
    weights = _named(name)
    typer.echo(f"{weights.path}: {len(weights.tensors)} tensors match SHA-256 {weights.card.sha256}")
