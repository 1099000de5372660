"""Numbers and names as people read them, the same on every page and in every report."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

MISSING = "–"
TRAINED_ON_SIMULATED = "trained on simulated sound"
"""Said wherever a detector's verdict, score or figure is shown, of a detector that never heard a real machine."""
MAX_SHOWN_NAME = 200
SCORE_NOISE = 1e-9
"""A score nearer to 0 is written as 0: of a detector whose boundary lies at 0, it is rounding noise."""
BYTE_ORDER_MARK = "\ufeff"
"""Before a CSV it tells Excel that the text is UTF-8."""

_CELL_START = r"(?:^|(?<=[,;|\t\r\n]))"
_FORMULA = r"[ \"']*[=+\-@\t\r]"
_RUN_AS_FORMULA = re.compile(f"{_CELL_START}(?={_FORMULA})")
_KEPT_AS_TEXT = re.compile(f"{_CELL_START}'(?={_FORMULA})")


class CsvStyle(NamedTuple):  # a dataclass would cost `--help` a fifth of its time
    """How a CSV is written.

    Parameters
    ----------
    separator
        Between the cells of a row.
    decimal
        The decimal sign of numbers.
    has_mark
        Whether the text begins with a byte-order mark.
    """

    separator: str = ","
    decimal: str = "."
    has_mark: bool = False

    @property
    def mark(self) -> str:
        """What the text begins with."""
        return BYTE_ORDER_MARK if self.has_mark else ""


PLAIN = CsvStyle()
EXCEL_COMMA = CsvStyle(has_mark=True)
EXCEL_SEMICOLON = CsvStyle(";", ",", has_mark=True)
"""For an Excel of countries that write 0,5: it separates cells by semicolons."""


def counted(n: int, noun: str) -> str:
    """Write a number of things: `1 clip`, `2,300 clips`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def class_word(is_anomalous: bool) -> str:
    """Name a clip's class, as a verdict or as a label."""
    return "anomalous" if is_anomalous else "normal"


def rate_text(part: int, whole: int) -> str:
    """Write a share with its counts: `92.3 % (180/195)`."""
    return f"{100 * part / whole:.1f} % ({part}/{whole})" if whole else f"{MISSING} (0 clips)"


def area_text(value: float | None, interval: Sequence[float] | None = None) -> str:
    """Write an AUC with three decimals and its 95 % interval: `0.941 [0.920, 0.958]`; 1.000 is said of 1 alone."""
    if value is None:
        return "not defined"
    if interval is None:
        return _share_of_one(value)
    return f"{_share_of_one(value)} [{_share_of_one(interval[0])}, {_share_of_one(interval[1])}]"


def _share_of_one(value: float) -> str:
    """Write a number from 0 to 1 with three decimals, and one that only rounds to an end as beyond the last one."""
    if 0.9995 <= value < 1.0:
        return "> 0.999"
    return "< 0.001" if 0.0 < value < 0.0005 else f"{value:.3f}"


def score_text(value: float | None) -> str:
    """Write a score or threshold with four significant digits, and rounding noise as 0."""
    if value is None:
        return MISSING
    return "0" if abs(value) < SCORE_NOISE else f"{value:.4g}"


def times_text(ratio: float) -> str:
    """Write a multiple of a limit with two decimals, or more where it would read 1.00 without being 1."""
    texts = [f"{ratio:.{digits}f}" for digits in (2, 3, 4)]
    return next((text for text in texts if float(text) != 1.0), texts[0])


def share_text(value: float | None) -> str:
    """Write a rate or a precision as a percentage with one decimal, without counts."""
    return MISSING if value is None else f"{100 * value:.1f} %"


def level_text(amplitude: float) -> str:
    """Write an amplitude as a level below full scale, which is 1: `-12.3 dBFS`; `silent` for 0."""
    return f"{20 * math.log10(amplitude):.1f} dBFS" if amplitude > 0 else "silent"


def seconds_text(seconds: float) -> str:
    """Write a duration: `4.25 s`, `3 min 20 s`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def ago_text(seconds: float) -> str:
    """Write how long ago something was, in its largest unit: `just now`, `4 minutes ago`, `2 days ago`."""
    for unit, unit_s in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= unit_s:
            return f"{counted(int(seconds // unit_s), unit)} ago"
    return "just now"


def size_text(n_bytes: int) -> str:
    """Write a size on disk: `1.2 GB`, `340 MB`, `12 kB`."""
    for unit, power in (("GB", 9), ("MB", 6)):
        if n_bytes >= 10**power:
            return f"{n_bytes / 10**power:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def spreadsheet_cell(value: str | float | None, *, decimal: str = ".") -> str:
    """Write a CSV cell: numbers by `repr`, `true` or `false`, None empty, a `'` before what a spreadsheet would run.

    That is text that begins with `= + - @`, TAB or CR, even after blanks and quotes, at the start of the cell or after
    any character that separates cells in a spreadsheet whose separator is not a comma.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float.__repr__(value).replace(".", decimal)  # without the type's name, which NumPy adds
    return _RUN_AS_FORMULA.sub("'", value) if isinstance(value, str) else repr(value)


def cell_text(cell: str) -> str:
    """Read text back from a cell that `spreadsheet_cell` wrote; text that needed no `'` is unchanged."""
    return _KEPT_AS_TEXT.sub("", cell)


def separator_of(first_line: str, column: str) -> str:
    """The separator of a CSV that has a column of this name: a comma, unless only a semicolon or TAB gives the column.

    Parameters
    ----------
    first_line
        The names of the columns.
    """
    for separator in (",", ";", "\t"):
        if column in next(csv.reader([first_line.rstrip("\r\n")], delimiter=separator), []):
            return separator
    return ","


def cell_number(cell: str, *, separator: str = ",") -> float:
    """Read a number; a decimal comma counts where it does not separate cells; raises ValueError for any other text."""
    return float(cell if separator == "," else cell.replace(",", "."))


def display_name(name: str) -> str:
    """Make a user's file name printable and short."""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return printable if len(printable) <= MAX_SHOWN_NAME else printable[: MAX_SHOWN_NAME - 1] + "…"
