"""What the compare page's figures are held against: trivial numbers, other benches, published ones, other poolings."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import CALIBRATION
from printed import after, before, drawn, figures, line_with, text_of
from sounds import PROJECT, hum

from asd_core.artifacts.store import open_artifact
from asd_core.detectors import detector_class
from asd_core.errors import UsageError
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.summary import ranking
from asd_core.evaluation.trivial import BestNumber
from asd_core.evaluation.uncertainty import estimate_of
from asd_core.features.trivial import names
from asd_core.reports import published
from asd_core.reports.bench_seeds import EMBEDDED_SEED, RESULTS, kept_bench_seeds, read_bench_seeds
from asd_core.reports.course_tables import others_rows
from asd_core.tasks.compare import Method, join, other_poolings, with_ensemble, with_other_poolings
from pages.parts.compare import figures as compare_figures
from pages.parts.compare import methods as compare_methods
from pages.parts.compare import poolings, references
from pages.parts.train import fields
from pages.shared.bench_seeds import over_bench_seeds
from pages.shared.plain_text import plain

EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
BEST = BestNumber("level", False, 15, 40, 0.812, 0.723, 0.634, {"00": 0.901, "02": 0.712})
LABELS = ("normal", "normal", "anomalous", "anomalous")


def scored(number: int, label: str, anomaly_score: float, *, split: str = "test") -> ScoredClip:
    return ScoredClip(
        f"{split}/{number}.wav", f"{number // 4:02d}", split, label, "", f"{split} {number}", anomaly_score
    )


def method(title: str, values: list[float], **others) -> Method:
    labels = [*LABELS, *LABELS]
    clips = tuple(scored(n, label, value) for n, (label, value) in enumerate(zip(labels, values, strict=True)))
    return Method(title, title, Scores(clips), Scores(()), **others)


@pytest.fixture
def comparison():
    return join([method("A", [1, 2, 3, 4, 1, 2, 3, 4]), method("B", [1, 3, 2, 4, 4, 3, 2, 1])])


@pytest.fixture
def judged(comparison):
    return compare_methods.judged(comparison, "conformal")


# The best trivial number


def test_the_best_trivial_number_has_a_row_with_its_areas_and_says_that_labels_chose_it():
    row = references.trivial_row(BEST)
    assert row["title"] == "Best trivial number (no training): level (uses test labels)"
    assert [row["shown"][label] for label in references.AREAS.values()] == ["0.812", "0.723", "0.634"]
    assert (row["shown"]["AUC, id 00"], row["shown"]["AUC, id 02"]) == ("0.901", "0.712")
    assert references.OVER_SEEDS not in row["shown"]
    assert row["plain"]["auc_mean"] == 0.812
    assert row["plain"]["uses_test_labels"] is True


def test_before_it_is_measured_the_row_stands_there_and_the_csv_has_none():
    row = references.trivial_row(None)
    assert set(row["shown"].values()) == {"not measured yet"}
    assert not row["plain"]


def test_the_note_names_number_direction_labels_and_how_many_were_tried(comparison):
    line = line_with(text_of(drawn(lambda: references.trivial_note(comparison, BEST))), "level")
    assert "less of it taken as stranger" in line
    assert before(line, "with the **labels of the test clips**") == "15"
    more = replace(BEST, more_is_anomalous=True, n_clips=4)
    line = line_with(text_of(drawn(lambda: references.trivial_note(comparison, more))), "level")
    assert "more of it taken as stranger" in line
    assert before(line, "clips, which favours") == "4"


def test_measuring_takes_the_numbers_of_the_common_clips_and_is_kept(comparison, tmp_path, monkeypatch):
    values = {f"test/{n}.wav": float(v) for n, v in enumerate([5, 4, 2, 1, 9, 8, 7, 3])}
    asked = []

    def numbers_of(sound):
        asked.append(sound)
        return dict.fromkeys(names(), 0.0) | {"level": values[sound]}

    monkeypatch.setattr(references, "read_named", lambda _, name, **__: name)
    monkeypatch.setattr(references, "numbers_of", numbers_of)
    monkeypatch.setattr(references, "clips_root", lambda _: tmp_path)
    chosen = SimpleNamespace(data_set="mine", machine="pump")
    app = drawn(lambda: references.trivial_offer(chosen, comparison, references.known_best(chosen, comparison)))
    assert not asked
    assert "8 clips, about 1 s" in app.button[0].label
    app.button[0].click().run()
    best = references.known_best(chosen, comparison)
    assert (best.name, best.more_is_anomalous, best.auc_mean) == ("level", False, 1.0)
    assert sorted(asked) == sorted(values)
    assert not app.button
    assert "level" in text_of(drawn(lambda: references.trivial_note(comparison, best)))


def test_a_large_set_is_measured_on_a_share_of_each_label_and_id(comparison, monkeypatch):
    monkeypatch.setattr(references, "MOST_CLIPS", 4)
    rows = references._sampled(comparison)
    assert len(rows) == 4
    assert {(comparison.clips[row].label, comparison.clips[row].machine_id) for row in rows} == {
        (label, machine_id) for label in ("normal", "anomalous") for machine_id in ("00", "01")
    }


def test_the_embedded_benchs_best_number_is_known_without_a_clip_and_only_for_all_of_its_clips(comparison):
    chosen = SimpleNamespace(data_set="simulated-small", machine="slider")
    everything = SimpleNamespace(clips=range(kept_bench_seeds().embedded_best.n_clips), fingerprint="other")
    assert references.known_best(chosen, everything) == kept_bench_seeds().embedded_best
    assert references.known_best(chosen, comparison.of(range(3))) is None


def test_the_tables_of_areas_end_with_the_trivial_number_and_the_others_do_not(judged, monkeypatch):
    monkeypatch.setattr(compare_figures, "known_best", lambda *_: BEST)
    app = drawn(lambda: compare_figures._table(None, judged))
    rows = [list(table.value.index) for table in app.table]
    assert [index[-1] == plain(references.trivial_row(BEST)["title"]) for index in rows] == [True, True, False, False]
    assert app.table[0].value.iloc[-1].tolist() == ["0.812", "0.723", "0.634"]


# Benches of other seeds


def test_kept_figures_of_bench_seeds_are_read_as_they_are_written(tmp_path):
    kept = read_bench_seeds()
    (tmp_path / "kept.json").write_text(json.dumps(kept.to_json()))
    assert read_bench_seeds(tmp_path / "kept.json") == kept
    assert len(kept.best_numbers) == len(kept.bench_seeds) == len(kept.detectors[0].auc_mean)
    assert kept.embedded_best == kept.best_numbers[list(kept.bench_seeds).index(EMBEDDED_SEED)]
    (tmp_path / "kept.json").write_text("{}")
    with pytest.raises(ValueError, match="must hold exactly"):
        read_bench_seeds(tmp_path / "kept.json")


def test_the_kept_figures_lie_in_the_package_and_are_installed_with_it():
    assert RESULTS.is_relative_to(PROJECT / "asd_core")
    assert '"asd_core.reports" = ["templates/*.j2", "*.json"]' in (PROJECT / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize("detector", sorted(kept_bench_seeds().by_detector))
def test_the_kept_figures_of_seed_0_are_those_of_the_detectors_that_come_with_the_project(detector):
    kept = kept_bench_seeds()
    found = ranking(open_artifact(EMBEDDED / detector).scores.of("test"))
    own = kept.by_detector[detector].auc_mean[list(kept.bench_seeds).index(EMBEDDED_SEED)]
    assert estimate_of(found.auc_mean) == pytest.approx(own, abs=0.005)  # other processors, other last bits
    assert found.n_normal + found.n_anomalous == kept.embedded_best.n_clips


def test_a_spread_over_benches_is_said_of_detectors_that_were_trained_in_the_same_way_alone():
    artifact = open_artifact(EMBEDDED / "vggish_knn")
    values = kept_bench_seeds().by_detector["vggish_knn"].auc_mean
    assert figures(over_bench_seeds(artifact)) == [
        f"{np.mean(values):.3f}",
        f"{min(values):.3f}",
        f"{max(values):.3f}",
    ]

    def changed(**of_manifest):
        return SimpleNamespace(
            detector_name="vggish_knn", simulated=True, manifest=replace(artifact.manifest, **of_manifest)
        )

    assert over_bench_seeds(changed()) is not None
    assert over_bench_seeds(changed(preset="paper")) is None
    assert over_bench_seeds(changed(settings={**artifact.manifest.settings, "seed": 1})) is None
    assert over_bench_seeds(changed(data=replace(artifact.manifest.data, data_set="mine"))) is None


# Published figures


def test_published_figures_are_those_of_their_sources():
    rows = {(each.system, len(each.ids)): each for each in published.REAL_SLIDE_RAIL}
    baseline = rows["DCASE 2020 baseline: autoencoder", 3]
    assert (baseline.auc_mean, baseline.pauc_mean) == (0.8991, 0.7289)
    assert (rows["DCASE 2020 baseline: autoencoder", 4].auc_mean, rows["STgram-MFN (ArcFace)", 3].auc_mean) == (
        0.8499,
        0.9940,
    )
    for name, title in (("lstm_predictor", "LSTM predictor"), ("gru_autoencoder", "GRU autoencoder")):
        assert rows[f"{title} of the course report", 3].auc_pooled == published.PUBLISHED[name].auc_pooled
    for each in published.REAL_SLIDE_RAIL:
        assert each.source
        assert each.differs
        assert (each.auc_mean is None) != (each.auc_pooled is None)
    assert [each.uses_test_labels for each in (baseline, rows["STgram-MFN (ArcFace)", 3])] == [False, True]


def test_published_figures_are_called_real_and_ours_simulated(judged):
    simulated = SimpleNamespace(simulated=True)
    methods = tuple(replace(each, artifact=simulated) for each in judged.comparison.methods)
    ours = replace(judged, comparison=replace(judged.comparison, methods=methods))
    app = drawn(lambda: references.published_view(SimpleNamespace(machine="slider"), ours))
    table = app.table[0].value
    sound = dict(zip(table["System"], table["Sound"], strict=True))
    assert (sound["A"], sound["LSTM predictor of the course report"]) == ("simulated, 2 ids", "real, 3 ids")
    assert "no match" in text_of(app)
    row = table[table["System"] == "STgram-MFN (ArcFace)"].iloc[0]
    assert (row["AUC, mean over ids"], row["AUC, pooled"], row["pAUC, mean"]) == ("0.994", "–", "0.969")
    assert "liuyoude/STgram-MFN" in row["What differs (source)"]
    assert table.iloc[0]["AUC, mean over ids"] == "1.000"


def test_recordings_are_not_called_simulated_and_other_machines_have_no_published_figures(judged):
    recorded = drawn(lambda: references.published_view(SimpleNamespace(machine="slider"), judged))
    assert recorded.table[0].value["Sound"].iloc[0] == "recorded, 2 ids"
    assert "simulated" not in text_of(recorded)
    assert not drawn(lambda: references.published_view(SimpleNamespace(machine="pump"), judged)).table


def test_the_course_report_again_lists_what_others_published():
    rows = others_rows()
    assert len(rows) == len(published.REAL_SLIDE_RAIL)
    assert rows[0][:5] == ["DCASE 2020 baseline: autoencoder", "00, 02, 04", "0.899", "–", "0.729"]
    assert rows[0][-1] == "y-kawagu/dcase2020_task2_baseline"


# Both poolings of a network


@pytest.fixture(scope="module")
def network():
    kind = detector_class("lstm_predictor")
    options = {"hidden": 8, "layers": 1, "epochs": 2, "windows_per_epoch": 64, "batch_size": 16}
    return kind.from_preset("quick", **options, pooling="mahalanobis").fit([hum(seed) for seed in range(12)])


def own(network, how: str = "held_out") -> Method:
    test = [scored(n, label, network.anomaly_score(hum(40 + n))) for n, label in enumerate(LABELS)]
    heldout = [scored(4 + n, "normal", network.anomaly_score(hum(44 + n)), split="heldout") for n in range(2)]
    manifest = SimpleNamespace(
        calibration=replace(CALIBRATION, how=how), settings={"pooling": "mahalanobis"}, data=SimpleNamespace()
    )
    artifact = SimpleNamespace(detector_name="lstm_predictor", title="LSTM", simulated=True, manifest=manifest)
    return Method("own", "LSTM", Scores(tuple(test)), Scores(tuple(heldout)), artifact)


def sound_of(clip: ScoredClip):
    return hum(40 + int(clip.digest.split()[1]))


def test_other_poolings_are_those_of_the_same_network_on_the_same_clips_heard_once(network):
    heard = []

    def sound(clip):
        heard.append(clip.digest)
        return sound_of(clip)

    before_ = own(network)
    (mean,) = with_other_poolings(before_, network, sound)
    assert mean.title == "LSTM, mean (the report)"
    assert [clip.anomaly_score for clip in mean.scores.clips] == [
        pytest.approx(network.scores_by_pooling(sound_of(clip))["mean"]) for clip in before_.scores.clips
    ]
    assert [clip.anomaly_score for clip in mean.heldout.clips] == [
        pytest.approx(network.scores_by_pooling(sound_of(clip))["mean"]) for clip in before_.heldout.clips
    ]
    assert [clip.digest for clip in mean.scores.clips] == [clip.digest for clip in before_.scores.clips]
    assert len(heard) == len(set(heard)) == 6
    assert (mean.artifact, mean.trained, mean.key) == (None, before_.artifact, "own:mean")


def test_a_cross_fitted_network_has_no_held_out_scores_under_another_pooling(network):
    (mean,) = with_other_poolings(own(network, how="cross_fit"), network, sound_of)
    assert (len(mean.scores.clips), len(mean.heldout.clips)) == (4, 0)


def test_which_other_poolings_there_are_depends_on_the_state(network):
    assert other_poolings(network) == ("mean",)
    kind = detector_class("lstm_predictor")
    options = {"hidden": 8, "layers": 1, "pooling": "mean"}
    assert other_poolings(kind.from_preset("quick", **options).restore(network.state)) == ("combined",)
    assert other_poolings(kind.from_preset("quick", **options | {"pooling": "std"}).restore(network.state)) == ("mean",)
    old = {name: array for name, array in network.state.items() if not name.startswith("error_")}
    assert other_poolings(kind.from_preset("quick", **options).restore(old)) == ()
    with pytest.raises(UsageError):
        kind.from_preset("quick", **options | {"pooling": "mahalanobis"}).restore(old)


def test_a_network_is_named_by_its_own_pooling_beside_the_other_and_both_share_its_colour(network):
    method_ = own(network)
    others = with_other_poolings(method_, network, sound_of)
    shown = join(poolings._both(method_, others))
    assert [each.title for each in shown.methods] == ["LSTM, error spectrum", "LSTM, mean (the report)"]
    looks = compare_methods._looks(shown)
    assert looks[0].colour == looks[1].colour
    assert looks[0].dash != looks[1].dash
    assert poolings._both(method_, None) == (method_,)


def test_an_ensemble_takes_each_network_once(network, monkeypatch):
    method_ = own(network)
    (mean,) = with_other_poolings(method_, network, sound_of)
    joined = []

    def combine(members):
        joined.extend(members)
        return SimpleNamespace(title="E", scores=method_.scores, heldout=method_.heldout)

    monkeypatch.setattr("asd_core.tasks.compare.combine", combine)
    with_ensemble(join([method_, mean]))
    assert [each.key for each in joined] == ["own"]


# How much a training trains


def test_the_form_says_how_many_updates_a_preset_makes():
    quick = detector_class("lstm_predictor").from_preset("quick")
    n = quick.epochs * -(-quick.windows_per_epoch // quick.batch_size)
    assert f"{n:,} updates of the weights, however many clips there are" in fields.effort("lstm_predictor", "quick")
    paper = detector_class("lstm_predictor").from_preset("paper")
    assert after(fields.effort("lstm_predictor", "paper"), "paper:") == str(paper.epochs)
    assert "passes over all windows" in fields.effort("lstm_predictor", "paper")
    assert fields.effort("vggish_knn", "quick") == ""
