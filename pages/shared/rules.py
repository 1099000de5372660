"""How the rules that choose a threshold are named in a list."""

from __future__ import annotations

from asd_core.evaluation.thresholds import RULES

LABEL_MARK = "Uses test labels: "
"""Before a title, where no narrow screen can cut it off."""


def rule_title(rule: str, *, with_number: bool = False) -> str:
    """Say what a rule does; one that looks at the labels of the test clips begins by saying so.

    Parameters
    ----------
    with_number
        Whether the rule's own number is named, for a list without a field for it.
    """
    spec = RULES[rule]
    number = f" ({spec.default:g})" if with_number and spec.default is not None else ""
    if not spec.uses_test_labels:
        return f"{spec.title}{number}"
    return f"{LABEL_MARK}{spec.title[0].lower() if spec.title[1].islower() else spec.title[0]}{spec.title[1:]}{number}"
