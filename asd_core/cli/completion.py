"""Completion of the command in a shell, as a script that the shell reads: `asd --print-completion bash`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMAND = "asd"
"""What the package installs; shells complete this name alone."""
SHELLS = ("bash", "zsh", "tcsh")


class PrintCompletion(argparse.Action):
    """Print the script for a shell and end, as `--version` does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - as all actions are called
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Print it; `values` is the shell."""
        print(completion(parser, values))
        parser.exit()


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script with which a shell completes commands, options, their values and names of files."""
    import shtab

    parser.prog = COMMAND  # also where the script is asked for by `python -m asd_core`
    for action in _actions(parser):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined] # where shtab looks for it
    script: str = shtab.complete(parser, shell=shell)
    return script


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All actions of a parser and of its commands."""
    for action in parser._actions:  # argparse has no public way to them; shtab does the same
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
