"""Names and other texts that are not ours, made fit for the browser and for Markdown."""

from __future__ import annotations

import re

_ACTING = re.compile(r"[\\`*_{}\[\]<>#~|$!&]|^[-+]")
_WWW = re.compile(r"www(?=\.)", re.IGNORECASE)
_JOINER = "\N{WORD JOINER}"


def shown_text(text: str) -> str:
    """Make a text fit for the browser: bytes of a name that are not UTF-8 are written in hexadecimal."""
    return text.encode("utf-8", "backslashreplace").decode()


def plain(text: str) -> str:
    """Make names and other texts that are not ours fit for Markdown: they are shown literally.

    Backslashes switch formatting, HTML and formulas off; an invisible word joiner splits what Streamlit would
    turn into an icon, a colour, a link or an address.
    """
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    escaped = _ACTING.sub(r"\\\g<0>", printable)
    return _WWW.sub(rf"\g<0>{_JOINER}", escaped.replace(":", f":{_JOINER}").replace("@", f"{_JOINER}@"))
