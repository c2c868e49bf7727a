"""`--help` of every verb shows all that was written for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from openmoon.cli import app
from openmoon.config.fields import recipe_fields


def verbs(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from verbs(inner, (*path, name))


VERBS = dict(verbs(typer.main.get_command(app)))


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_no_word_of_the_help_is_lost(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Markdown takes <workdir> for a tag of HTML unless it is in backticks."""
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 400)
    shown = CliRunner().invoke(app, [*path, "--help"]).output
    command = VERBS[path]
    written = [command.help or "", *(getattr(parameter, "help", None) or "" for parameter in command.params)]
    for text in written:
        for word in text.replace("`", "").replace("**", "").split():
            assert word in shown, f"{word} of: {text}"


def test_every_verb_is_there_and_says_what_it_does() -> None:
    wanted = {"pretrain", "posttrain", "evaluate", "embed", "search", "heatmap", "export", "report", "run", "fields", "env",
              "benchmark"}  # fmt: skip
    assert wanted <= {path[0] for path in VERBS if len(path) == 1}
    assert all(command.help for command in VERBS.values())


def test_fields_are_read_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is cut can neither be read nor copied behind a command."""
    monkeypatch.setattr("openmoon.cli.steps.out", Console(width=80))
    lines = CliRunner().invoke(app, ["fields", "posttrain.negatives"]).output.splitlines()
    for field in recipe_fields("posttrain.negatives"):
        assert f"{field.path}={field.default}  {field.takes}" in lines
