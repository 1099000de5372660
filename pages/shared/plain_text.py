"""Names and other texts that are not ours, made fit for the browser and for Markdown."""

from __future__ import annotations

import re
from pathlib import PurePath

from asd_core.errors import AsdError, AudioError
from asd_core.formats import display_name

_ACTING = re.compile(r"[\\`*_{}\[\]<>#~|$!&]|^[-+]")
_WWW = re.compile(r"www(?=\.)", re.IGNORECASE)
_OPTION = re.compile(r" ?\([^()]*(?<![\w-])--[a-z](?:[^()]|\([^()]*\))*\)")
_WORD = re.compile(r"[a-z]+[ ,]")
_CODE = re.compile(r"^[a-z][a-z_]*: ")
_JOINER = "\N{WORD JOINER}"


def shown_text(text: str) -> str:
    """Make a text fit for the browser: bytes of a name that are not UTF-8 are written in hexadecimal."""
    return text.encode("utf-8", "backslashreplace").decode()


def without_options(text: str) -> str:
    """Leave out what only a command line can use: it is in parentheses that name an option."""
    return _OPTION.sub("", text)


def error_text(error: AsdError) -> str:
    """Say what a refusal means on a page: the file's name where there is one, what to do, why."""
    text = without_options(error.advice)
    name = error.name if isinstance(error, AudioError) else ""
    return shown_text(f"{display_name(PurePath(name).name)}: {text}" if name else text)


def warning_text(warning: str) -> str:
    """Write a warning `code: text` for people: its text alone, without options."""
    text = without_options(_CODE.sub("", warning))
    return text[:1].upper() + text[1:] if _WORD.match(text) else text


def plain(text: str) -> str:
    """Make names and other texts that are not ours fit for Markdown: they are shown literally.

    Backslashes switch formatting, HTML and formulas off; an invisible word joiner splits what Streamlit would
    turn into an icon, a colour, a link or an address.
    """
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    escaped = _ACTING.sub(r"\\\g<0>", printable)
    return _WWW.sub(rf"\g<0>{_JOINER}", escaped.replace(":", f":{_JOINER}").replace("@", f"{_JOINER}@"))
