"""Who is right about a clip, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from asd_core.formats import class_word

NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def who_is_right(alarms: Sequence[tuple[str, bool]], *, is_anomalous: bool, n_silent: int = 0) -> str:
    """Say how many verdicts agree with a clip's label, and name those that do not.

    Parameters
    ----------
    alarms
        (name, whether it calls the clip anomalous) of each detector that has a threshold.
    n_silent
        Detectors without a threshold.
    """
    wrong = [name for name, alarm in alarms if alarm != is_anomalous]
    n_right = len(alarms) - len(wrong)
    if not alarms:
        return _ended("No detector has a threshold by this rule", 0)
    if not wrong:
        return _ended(f"{_all_of(alarms)} right", n_silent)
    failing = _failing(len(wrong), is_anomalous)
    if not n_right:
        who = f"{wrong[0]} is wrong: it" if len(wrong) == 1 else f"{_all_of(alarms)} wrong: they"
        return _ended(f"{who} {failing}", n_silent)
    number = f"{_word(n_right)} of {_word(len(alarms))} {'is' if n_right == 1 else 'are'} right"
    return _ended(f"{number[0].upper()}{number[1:]}: {_listed(wrong)} {failing}", n_silent)


def who_calls_it(alarms: Sequence[tuple[str, bool]], *, n_silent: int = 0) -> str:
    """Say how many detectors call a clip anomalous, and nothing of its label."""
    n_alarms = sum(alarm for _, alarm in alarms)
    if not alarms:
        return _ended("No detector has a threshold by this rule", 0)
    if n_alarms in (0, len(alarms)):
        word = class_word(n_alarms > 0)
        who = {1: f"{alarms[0][0]} calls", 2: "Both call"}.get(len(alarms), f"All {_word(len(alarms))} call")
        return _ended(f"{who} it {word}", n_silent)
    number = f"{_word(n_alarms)} of {_word(len(alarms))} {'calls' if n_alarms == 1 else 'call'} it anomalous"
    return _ended(f"{number[0].upper()}{number[1:]}", n_silent)


def _all_of(alarms: Sequence[tuple[str, bool]]) -> str:
    n = len(alarms)
    return {1: f"{alarms[0][0]} is", 2: "Both are"}.get(n, f"All {_word(n)} are")


def _failing(n: int, is_anomalous: bool) -> str:
    if is_anomalous:
        return "misses it" if n == 1 else "miss it"
    return "gives a false alarm" if n == 1 else "give a false alarm"


def _ended(text: str, n_silent: int) -> str:
    silent = f"; {_word(n_silent)} {'has' if n_silent == 1 else 'have'} no threshold" if n_silent else ""
    return f"{text}{silent}."


def _word(n: int) -> str:
    return NUMBERS[n] if n < len(NUMBERS) else f"{n:,}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
