"""Every error that `asd_core` raises on purpose.

::

    AsdError
    |-- InputError            a waveform or array that breaks a stated limit
    |   `-- AudioError        an audio file that is refused; `code` is stable
    |-- NotFittedError        scoring or saving before `fit`
    |-- UsageError            a command or call that cannot be carried out as requested
    |   |-- DataSetError      a folder that is not a data set, or not the one meant
    |   |-- EncoderUnavailableError   an encoder whose weights or packages are out of reach
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


class AsdError(Exception):
    """Base of all errors below; its text is meant for people."""


class InputError(AsdError):
    """A waveform or array breaks a stated limit."""


class AudioError(InputError):
    """An audio file is refused.

    Parameters
    ----------
    code
        One of `asd_core.audio.reading.REFUSAL_CODES`; programs may rely on it.
    message
        What is wrong, the rule, what was got.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:
        """Keep the code when pickled between processes."""
        return type(self), (self.code, str(self))


class NotFittedError(AsdError):
    """The detector has not been fitted yet."""


class UsageError(AsdError):
    """A command or call cannot be carried out as requested."""


class DataSetError(UsageError):
    """A folder is not a data set, or not the one meant."""


class EncoderUnavailableError(UsageError):
    """An encoder's weights or packages are out of reach."""


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
