"""How the rules that choose a threshold are named in a list: short enough for a narrow screen."""

from __future__ import annotations

LABEL_MARK = "Uses test labels: "
"""Before a title, where no narrow screen can cut it off."""
_HELD_OUT = "Held-out clips: "
_TITLES = {
    "conformal": (f"{_HELD_OUT}promised false-alarm rate", f"{_HELD_OUT}at most 10 % false alarms"),
    "quantile": (f"{_HELD_OUT}a quantile", f"{_HELD_OUT}90 % lie below"),
    "gamma": (f"{_HELD_OUT}gamma distribution", f"{_HELD_OUT}gamma, 90 % below"),
    "mean_std": (f"{_HELD_OUT}mean plus k deviations", f"{_HELD_OUT}mean plus 3 deviations"),
    "zero": ("The SVM\u2019s own boundary, 0", "The SVM\u2019s own boundary, 0"),
    "closest_topleft": (f"{LABEL_MARK}nearest to top left", f"{LABEL_MARK}nearest to top left"),
    "youden": (f"{LABEL_MARK}largest TPR \u2212 FPR", f"{LABEL_MARK}largest TPR \u2212 FPR"),
    "best_f1": (f"{LABEL_MARK}largest F1", f"{LABEL_MARK}largest F1"),
    "target_tpr": (f"{LABEL_MARK}a detection rate", f"{LABEL_MARK}detection \u2265 90 %"),
    "target_fpr": (f"{LABEL_MARK}a false-alarm rate", f"{LABEL_MARK}false alarms \u2264 10 %"),
    "cost": (f"{LABEL_MARK}least cost", f"{LABEL_MARK}least cost, 1 : 1"),
    "highest": (f"{_HELD_OUT}above the highest", f"{_HELD_OUT}above the highest"),
    "manual": ("Set by hand", "Set by hand"),
}
"""Rule -> its title beside a field for its number, and its title with the default of that number."""


def rule_title(rule: str, *, with_number: bool = False) -> str:
    """Say what a rule does; one that looks at the labels of the test clips begins by saying so.

    Parameters
    ----------
    with_number
        Whether the rule's own number is named, for a list without a field for it.
    """
    return _TITLES[rule][with_number]
