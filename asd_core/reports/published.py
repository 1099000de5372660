"""What the course report prints: its figures, the thresholds it sets, and what it leaves open.

The report gives an AUC, a threshold and a table of precision, recall and F1 for its LSTM (Table 1) and its GRU (Table
2); for VGGish with a one-class SVM it prints no AUC. Table 1 is at the ROC point nearest to (0, 1), Table 2 at a rate
of detections of .80.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REPORT_IDS = ("00", "02", "04")
REPORT_TRAINING_CLIPS = 2370
REPORT_FITTED_CLIPS = 1895
"""Of the 2,370, after 20 % of each id are held out."""
REPORT_NORMAL_TEST_CLIPS, REPORT_ANOMALOUS_TEST_CLIPS = 300, 801
SAME_SHARE = 0.005
"""Where the share of anomalous clips differs by less, precision and F1 differ by less than .01."""


@dataclass(frozen=True)
class Published:
    """What the report prints about a detector; None where it prints nothing."""

    table: str | None
    auc_pooled: float | None
    threshold: float | None
    point: tuple[float, float] | None
    normal: tuple[float, float, float] | None
    anomalous: tuple[float, float, float] | None


PUBLISHED: Mapping[str, Published] = {
    "vggish_ocsvm": Published(None, None, None, None, None, None),
    "lstm_predictor": Published("Table 1", 0.9406, 0.001688, None, (0.76, 0.90, 0.82), (0.96, 0.89, 0.92)),
    "gru_autoencoder": Published("Table 2", 0.892, 0.000511, (0.123, 0.80), (0.62, 0.87, 0.72), (0.94, 0.80, 0.87)),
}
"""Table, AUC, threshold, its point (rate of false alarms, rate of hits), and precision, recall, F1 of both classes."""


@dataclass(frozen=True)
class ReportRule:
    """A rule by which the report sets a threshold, see `asd_core.evaluation.thresholds.RULES`."""

    title: str
    rule: str
    rule_value: float | None = None


LABELLED_RULES: Mapping[str, ReportRule] = {
    "vggish_ocsvm": ReportRule("nearest to (0, 1); the report prints no such threshold", "closest_topleft"),
    "lstm_predictor": ReportRule("nearest to (0, 1), as in the report", "closest_topleft"),
    "gru_autoencoder": ReportRule("TPR at least 0.80, as in the report", "target_tpr", 0.80),
}
"""The rule of each detector that chooses on labelled test clips: the one that the report's table is at, if any."""

OTHER_RULES: Mapping[str, tuple[ReportRule, ...]] = {
    "vggish_ocsvm": (
        ReportRule("decision value 0, as in the report", "zero"),
        ReportRule("decision value 0.2, set by hand as in the report (score -0.2)", "manual", -0.2),
    ),
    "lstm_predictor": (
        ReportRule("mean of held-out normal clips, as in the report", "mean_std", 0.0),
        *(ReportRule(f"mean + {k} std of held-out normal clips", "mean_std", float(k)) for k in (1, 2, 3)),
    ),
    "gru_autoencoder": (),
}
"""Thresholds that the report sets without test labels. Our score of the SVM is its decision value with the sign turned:
a decision value below 0.2 is a score above -0.2."""

LEFT_OPEN: Mapping[str, str] = {
    "FFT size, mel scale and power of the log-mel frames": "n_fft 1024, Slaney mel, power 2",
    "scaling of the frames (thresholds near 0.001 imply about [0, 1])": "min-max, limits of the fitted clips",
    "which normal clips are held out": "networks: runs of clips in name order, a fifth of each id's, by seed; the "
    "one-class SVM is fitted on all, and each clip's score for the threshold is by a fit without its fold",
    "nu and gamma of the one-class SVM": "nu 0.1, gamma 1 / (number of features x variance)",
    "unit of the SVM's decision value, which 0.2 is set in": "libsvm's, which grows with nu x fitted clips",
    "how many standard deviations above the mean": "0, 1, 2 and 3",
    "weights of VGGish, and patches to vector": "the public TF-Hub model; 10 patches x 128, laid end to end",
    "windows of the GRU per 10-s clip (the report: 303, T - 10)": "all 304 windows of ten in 313 frames",
    "direction of the GRU's decoder and what feeds it": "forward, the latent vector at every step",
    "seed and threads": "seed 0 unless asked otherwise, one thread",
}
"""What the report does not say, or says in two ways, and what is taken here."""


def has_report_mix(n_normal: int, n_anomalous: int) -> bool:
    """Whether test clips have the report's class mix, so that precision and F1 can be read beside the report's."""
    theirs = REPORT_ANOMALOUS_TEST_CLIPS / (REPORT_NORMAL_TEST_CLIPS + REPORT_ANOMALOUS_TEST_CLIPS)
    return abs(n_anomalous / (n_normal + n_anomalous) - theirs) < SAME_SHARE
