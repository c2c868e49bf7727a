"""Ctrl-C ends a verb with a line that says what comes next."""

from __future__ import annotations

import sys

import pytest
import typer

from openmoon import cli


def test_an_interrupted_verb_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()

    @app.command()
    def verb() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["openmoon"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.endswith("interrupted: the same command goes on from what it has kept.\n")
