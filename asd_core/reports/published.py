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


@dataclass(frozen=True)
class OthersFigure:
    """What others published for the slide rail of DCASE 2020, real recordings; None where they give no figure.

    Parameters
    ----------
    ids
        Machine ids that the figures are of.
    auc_mean, pauc_mean
        Means over these ids; pAUC up to a false-alarm rate of 0.1.
    auc_pooled
        AUC of the course report's 300 normal and 801 anomalous test clips of ids 00, 02 and 04 together.
    differs
        What it has, or was chosen by, that a detector trained on one machine's normal sound does not.
    source
        Repository on GitHub or paper.
    """

    system: str
    ids: tuple[str, ...]
    auc_mean: float | None
    auc_pooled: float | None
    pauc_mean: float | None
    differs: str
    source: str

    @property
    def uses_test_labels(self) -> bool:
        """Whether something of the system was chosen on labelled clips, so that its figure is optimistic."""
        return "labelled" in self.differs or "test AUC" in self.differs


ALL_IDS = ("00", "02", "04", "06")
REAL_SLIDE_RAIL: tuple[OthersFigure, ...] = (
    OthersFigure(
        "DCASE 2020 baseline: autoencoder",
        REPORT_IDS,
        0.8991,
        None,
        0.7289,
        "normal sound only; one network for all ids",
        "y-kawagu/dcase2020_task2_baseline",
    ),
    OthersFigure(
        "DCASE 2020 baseline: autoencoder",
        ALL_IDS,
        0.8499,
        None,
        0.6693,
        "normal sound only; one network for all ids",
        "y-kawagu/dcase2020_task2_baseline",
    ),
    OthersFigure(
        "Variational autoencoder",
        REPORT_IDS,
        0.8478,
        None,
        0.6574,
        "normal sound only",
        "tuananh0305/DCASE_2020_task2_baseline_pytorch",
    ),
    OthersFigure(
        "Convolutional autoencoder, one per id",
        REPORT_IDS,
        0.920,
        None,
        None,
        "normal sound only; as many networks as ids",
        "cromerow/sound_anomaly_detection_demo",
    ),
    OthersFigure(
        "Baseline autoencoder, errors pooled by their standard deviation",
        ALL_IDS,
        0.9144,
        None,
        0.7871,
        "normal sound only; the pooling was chosen on labelled development clips",
        "patrick-praher/DCASE2020_T2_Haunschmid_Praher_Public",
    ),
    OthersFigure(
        "ResNet with outlier exposure",
        ALL_IDS,
        0.9895,
        None,
        0.9454,
        "trained against other machines' sound; chosen on labelled development clips",
        "OptimusPrimus/dcase2020_task2",
    ),
    OthersFigure(
        "STgram-MFN (ArcFace)",
        REPORT_IDS,
        0.9940,
        None,
        0.9686,
        "trained to tell machine ids apart; its best epoch was picked by test AUC",
        "liuyoude/STgram-MFN",
    ),
    OthersFigure(
        "Frozen audio transformer (AST) + autoencoder",
        REPORT_IDS,
        None,
        0.943,
        None,
        "pretrained on other sound",
        "adnankarim/audios-anomaly-detections",
    ),
    OthersFigure(
        "LSTM predictor of the course report",
        REPORT_IDS,
        None,
        0.9406,
        None,
        "normal sound only",
        "the course report, Table 1",
    ),
    OthersFigure(
        "Gaussian mixture on MFCC and mel statistics",
        REPORT_IDS,
        None,
        0.9234,
        None,
        "normal sound only",
        "g-orl/AnomalyDetection",
    ),
    OthersFigure(
        "GRU autoencoder of the course report",
        REPORT_IDS,
        None,
        0.892,
        None,
        "normal sound only",
        "the course report, Table 2",
    ),
    OthersFigure(
        "VGGish + Mahalanobis distance",
        REPORT_IDS,
        None,
        0.8513,
        None,
        "pretrained on other sound",
        "EURECOM course report",
    ),
)
"""Those trained on normal sound alone are the peers; figures of systems chosen on test labels are optimistic."""

SLIDE_RAIL = "slider"
"""The machine that the published figures are of."""
REAL_NOTE = (
    "Published figures are of real recordings of the slide rail (DCASE 2020 Task 2, development set). Figures of "
    "simulated sound are no match for them, higher or lower."
)
