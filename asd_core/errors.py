"""Every error that `asd_core` raises on purpose.

::

    AsdError
    |-- InputError            a waveform or array that breaks a stated limit
    |   |-- AudioError        an audio file that is refused; `code` is stable
    |   `-- RowsError         rows of numbers that an estimator cannot learn from; also a ValueError
    |-- NotFittedError        scoring or saving before `fit`
    |-- UsageError            a command or call that cannot be carried out as requested
    |   |-- DataSetError      a folder that is not a data set, or not the one meant
    |   |-- MissingExtraError     packages of an extra that are not installed
    |   |-- EncoderUnavailableError   an encoder whose weights or packages are out of reach
    |   |-- SettingError              an estimator's parameter that is unknown or out of range; also a ValueError
    |   `-- StaleVersionError         a change to a version that is no longer the current one
    |-- UndefinedMetricError  a figure that does not exist for these scores (one class only, ...)
    |-- ThresholdError        a rule that cannot give a threshold from these scores
    |-- ArtifactError         a saved detector that is damaged, unknown or unsafe
    |-- FileError             a file that the program keeps is missing, no regular file, or too large
    |-- DownloadError         a download, its check or its unpacking was given up
    |   `-- DownloadStopped   `should_stop` ended it; what has been fetched is reused next time
    |-- BusyError             another process holds the lock
    `-- TrainingStopped       `should_stop` ended it; finished epochs are in the checkpoint
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class AsdError(Exception):
    """Base of all errors below; its text is meant for people."""

    @property
    def advice(self) -> str:
        """The error for a page, which has no options and commands."""
        return str(self)


class InputError(AsdError):
    """A waveform or array breaks a stated limit."""


class AudioError(InputError):
    """An audio file is refused; `str` names the file, then says what to do, then what is wrong.

    Parameters
    ----------
    code
        One of `asd_core.audio.reading.REFUSAL_CODES`; programs may rely on it.
    what
        What the file is, in words, and why it cannot be used: the rule and what was got.
    cure
        What to do, as an order to anyone, without names of options ("cut the file into shorter ones"); empty where
        nothing helps.
    command
        A command that does it, with `{file}` for the file's name as a shell takes it; empty where there is none.
    name
        The file's name, shown escaped; empty where it is not known here.
    """

    def __init__(self, code: str, what: str, *, cure: str = "", command: str = "", name: str = "") -> None:
        self.code, self.what, self.cure, self.command, self.name = code, what, cure, command, name
        super().__init__(self._text())

    def __reduce__(self) -> tuple[Callable[..., AudioError], tuple[str, ...]]:
        """Keep all parts when pickled between processes."""
        return _audio_error, (self.code, self.what, self.cure, self.command, self.name)

    def named(self, name: str) -> AudioError:
        """The same refusal of a file of this name."""
        return AudioError(self.code, self.what, cure=self.cure, command=self.command, name=name)

    @property
    def advice(self) -> str:
        """The refusal for a page: what to do, then why, without the file's name and without commands."""
        text = f"{self.cure}: {self.what}" if self.cure else self.what
        return text[:1].upper() + text[1:]

    def entry(self, path: str) -> dict[str, str]:
        """The refusal in a list of refused files: `path`, `reason` (`code: text`), `code` and `advice`."""
        return {"path": path, "reason": f"{self.code}: {self}", "code": self.code, "advice": self.advice}

    def _text(self) -> str:
        command = self.command.replace("{file}", shlex.quote(ascii(self.name)[1:-1]) if self.name else "FILE")
        cure = f"{self.cure} ({command})" if command else self.cure
        return ": ".join(filter(None, (ascii(self.name) if self.name else "", cure, self.what)))


def _audio_error(code: str, what: str, cure: str, command: str, name: str) -> AudioError:
    return AudioError(code, what, cure=cure, command=command, name=name)


class RowsError(InputError, ValueError):
    """Rows of numbers break a limit where scikit-learn's callers expect a ValueError."""


class NotFittedError(AsdError):
    """The detector has not been fitted yet."""


class UsageError(AsdError):
    """A command or call cannot be carried out as requested."""


class DataSetError(UsageError):
    """A folder is not a data set, or not the one meant.

    Parameters
    ----------
    message
        For the command line.
    advice
        For a page, without options; empty where the message serves both.
    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self._advice = advice

    @property
    def advice(self) -> str:
        """The error for a page."""
        return self._advice or str(self)


class MissingExtraError(UsageError):
    """A task needs packages that come with an extra; the text names them and how to install them."""


class EncoderUnavailableError(UsageError):
    """An encoder's weights or packages are out of reach."""


class SettingError(UsageError, ValueError):
    """A parameter is unknown or out of range where scikit-learn's callers expect a ValueError."""


class StaleVersionError(UsageError):
    """A change is requested to a version that is no longer the current one."""


class UndefinedMetricError(AsdError):
    """A figure does not exist for these scores; the text says why."""


class ThresholdError(AsdError):
    """A rule cannot give a threshold from these scores; the text says why."""


class ArtifactError(AsdError):
    """A saved detector is damaged, unknown or unsafe."""


class FileError(AsdError):
    """A file that the program keeps is missing, no regular file, too large, or not text where text is expected."""


class DownloadError(AsdError):
    """A download, its check or its unpacking was given up; the text says why and what to do."""


class DownloadStopped(DownloadError):  # noqa: N818 - not a fault, but a request
    """`should_stop` ended the download; what has been fetched is reused next time."""


class BusyError(AsdError):
    """Another process holds the lock; try again later."""


class TrainingStopped(AsdError):  # noqa: N818 - not a fault, but a request
    """`should_stop` ended the training; finished epochs are in the checkpoint."""
