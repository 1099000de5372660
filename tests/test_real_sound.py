"""The judge on real recordings: its halves, figures, intervals and rows, on clips made here."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sounds import hum

from asd_core.audio.reading import encode_wav
from asd_core.data.clips import Clip
from asd_core.evaluation import metrics
from asd_core.evaluation.scores import ScoredClip, Scores

judged = pytest.importorskip("benchmarks.judged")
real_sets = pytest.importorskip("benchmarks.real_sets")
real_sound = pytest.importorskip("benchmarks.real_sound")


def scores_of(values, labels, *, names=None, split="test"):
    names = names or [f"{row}.wav" for row in range(len(values))]
    return Scores(
        tuple(
            ScoredClip(name, "00", split, label, "", name, float(value))
            for name, value, label in zip(names, values, labels, strict=True)
        )
    )


def run(values, labels, *, threshold=0.5, heldout=()):
    kept = scores_of(heldout, ["normal"] * len(heldout), names=[f"h{row}" for row in range(len(heldout))])
    return judged.Judged("x", scores_of(values, labels), kept, threshold, True, 2.0, 3.0)


NORMAL, FAULTY = ["normal"] * 4, ["anomalous"] * 4


def test_figures_count_ties_with_the_threshold_as_alarms():
    found = judged.figures(run([0.1, 0.2, 0.3, 0.5, 0.5, 0.6, 0.4, 0.7], NORMAL + FAULTY, threshold=0.5))
    assert found == judged.Figures(
        auc=pytest.approx((3.5 + 4 + 3 + 4) / 16),
        pauc=pytest.approx(found.pauc),
        seen=0.25,
        found=0.75,
        found_at_promise=0.75,
    )
    assert found.pauc == metrics.pauc([False] * 4 + [True] * 4, [0.1, 0.2, 0.3, 0.5, 0.5, 0.6, 0.4, 0.7])


def test_what_a_threshold_with_exactly_the_promised_rate_finds():
    normal = np.arange(100.0)  # 10 of them reach 90
    faulty = np.array([50.0, 89.9, 90.0, 95.0, 200.0])
    is_fault = np.r_[np.zeros(100, bool), np.ones(5, bool)]
    assert judged.found_at_promise(np.r_[normal, faulty], is_fault) == pytest.approx(3 / 5)


def test_the_interval_draws_whole_recordings():
    names = [f"{row}.wav" for row in range(8)]
    scores = [0.0, 0.0, 1.0, 1.0, 0.5, 0.5, 2.0, 2.0]
    one = {name: "n" if row < 4 else "f" for row, name in enumerate(names)}
    auc = metrics.auc([False] * 4 + [True] * 4, scores)
    runs = [run(scores, NORMAL + FAULTY)]
    assert judged.auc_interval(runs, one) == pytest.approx((auc, auc))  # a recording of each kind: nothing to draw
    two = {name: f"{'n' if row < 4 else 'f'}{row // 2}" for row, name in enumerate(names)}
    # faulty 0.5 against normal 1.0 alone gives AUC 0; faulty 2.0, or normal 0.0 alone, gives 1
    assert judged.auc_interval(runs, two) == pytest.approx((0.0, 1.0))
    low, high = judged.auc_interval(runs, {name: name for name in names})
    assert 0.2 < low < auc < high <= 1.0


def test_the_interval_is_of_the_mean_over_trainings():
    up, down = [0.0] * 4 + [1.0] * 4, [1.0] * 4 + [0.0] * 4
    runs = [run(up, NORMAL + FAULTY), run(down, NORMAL + FAULTY)]
    assert judged.auc_interval(runs, {f"{row}.wav": str(row) for row in range(8)}) == pytest.approx((0.5, 0.5))


def test_ties_count_half_in_the_interval():
    same = [run([1.0] * 8, NORMAL + FAULTY)]
    assert judged.auc_interval(same, {f"{row}.wav": str(row) for row in range(8)}) == pytest.approx((0.5, 0.5))


def test_scores_come_back_from_what_is_kept():
    made = run([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, np.pi], NORMAL + FAULTY, heldout=[0.1, 0.2])
    assert judged.Judged.from_json(made.to_json()) == made


def test_an_ensemble_averages_z_scores_by_held_out_clips():
    first = run([1.0, 2.0, 3.0, 4.0], NORMAL[:2] + FAULTY[:2], heldout=[0.0, 2.0] * 10)  # mean 1, deviation 1
    other = run([10.0, 10.0, 10.0, 30.0], NORMAL[:2] + FAULTY[:2], heldout=[0.0, 20.0] * 10)  # mean 10, deviation 10
    both = judged.together("both", [first, other])
    assert both.scores.anomaly_scores == pytest.approx([0.0, 0.5, 1.0, 2.5])
    assert both.threshold == np.nextafter(1.0, 2.0)  # its own, from the shared held-out clips' z-scores of -1 and 1
    assert (both.seconds, both.ms_per_clip) == (4.0, 6.0)


def test_a_peer_alarms_above_its_threshold_only():
    clips = [Clip(Path(name), name, "00", "test", label) for name, label in (("a", "normal"), ("b", "anomalous"))]
    result = SimpleNamespace(test_scores=np.array([1.0, 1.5]), threshold=1.0, fit_seconds=4.0, ms_per_clip=5.0)
    found = judged.of_peer("peer", result, clips)
    assert (judged.figures(found).seen, judged.figures(found).found) == (0.0, 1.0)
    assert (found.seconds, found.ms_per_clip) == (4.0, 5.0)


def test_too_few_held_out_clips_promise_nothing():
    test = scores_of([1.0, 5.0], ["normal", "anomalous"])
    few, enough = (
        judged.with_threshold("x", test, scores_of(range(n), ["normal"] * n, split="heldout"), 0.0, 0.0) for n in (8, 9)
    )
    assert (few.promises, enough.promises) == (False, True)
    assert (few.threshold, enough.threshold) == (np.nextafter(7.0, 8.0), np.nextafter(8.0, 9.0))
    assert " | none | " in real_sound.line("set", "title", {0: [enough], 1: [few]}, None)


def test_trainings_differ_by_settings_seed_clips_and_recordings():
    clips = tuple(Clip(Path(name), name, "00", "train", "normal", recording="r") for name in "ab")
    part = real_sets.Part(clips, clips[:1])
    parts = [
        part,
        real_sets.Part(clips[:1], clips[:1]),
        real_sets.Part(tuple(replace(clip, recording="s") for clip in clips), clips[:1]),
    ]
    recipe = judged.Recipe("lstm_predictor")
    built = [recipe.build(), replace(recipe, seed=1).build(), replace(recipe, before=True).build()]
    digests = {judged.recipe_digest(detector, each) for detector in built for each in parts}
    assert len(digests) == 9
    assert judged.recipe_digest(recipe.build(), part) in digests


def test_before_means_each_window_once_and_the_mean_of_errors():
    for name in judged.FIRST_RELEASE:
        recipe = judged.Recipe(name, seed=3, before=True)
        built = recipe.build()
        assert (built.windows_per_epoch, built.pooling, built.seed, recipe.poolings) == (0, "mean", 3, ("mean",))
    first = judged.Recipe("lstm_predictor", before=True).build()
    assert (first.epochs, first.learning_rate, first.conditioning) == (8, 2e-3, "bands")
    first = judged.Recipe("dcase_autoencoder", before=True).build()
    assert (first.epochs, first.scaling) == (16, "none")
    assert judged.Recipe("vggish_knn").poolings == ("its own",)


@pytest.fixture(scope="module")
def humming(tmp_path_factory):
    """Eight normal recordings and two with knocks, two clips of 1.5 s each."""
    folder = tmp_path_factory.mktemp("humming")
    clips = []
    for row in range(20):
        label = "normal" if row < 16 else "anomalous"
        path = folder / f"{row:02}.wav"
        path.write_bytes(encode_wav(hum(row, seconds=1.5, knocks=0 if row < 16 else 8).samples))
        clips.append(Clip(path, path.name, "00", "train", label, recording=f"{label} {row // 2}"))
    return clips


def test_a_training_serves_both_poolings_and_the_next_run(humming, tmp_path, monkeypatch):
    part = real_sets.Part(tuple(humming[:12]), tuple(humming[12:]))
    recipe = judged.Recipe("dcase_autoencoder")
    small = {"epochs": 1, "windows_per_epoch": 64, "batch_size": 32}
    build = judged.Recipe.build
    monkeypatch.setattr(judged.Recipe, "build", lambda self: replace(build(self), **small))
    made = judged.judge(recipe, part, folder=tmp_path)
    assert list(made) == ["combined", "relative", "mahalanobis", "mean"]
    again = replace(recipe.build(), pooling="mean")
    plain = judged._trained(again, ("mean",), part, tmp_path / "plain")["mean"]
    assert made["mean"].scores == plain.scores
    assert made["mean"].heldout == plain.heldout
    assert made["mean"].threshold == plain.threshold != made["combined"].threshold
    assert len({each.scores for each in made.values()}) == 4
    assert made["mean"].ms_per_clip > 0 < made["mean"].seconds
    monkeypatch.setattr(judged, "_trained", lambda *_: pytest.fail("trained again"))
    assert judged.judge(recipe, part, folder=tmp_path) == made
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        judged.judge(recipe, part, folder=tmp_path, fresh=True)


def test_rows_of_detectors_ensembles_and_peers(humming, tmp_path, monkeypatch):
    part = real_sets.Part(tuple(humming[:12]), tuple(humming[12:]))
    result = SimpleNamespace(test_scores=np.arange(8.0), threshold=3.0, fit_seconds=1.0, ms_per_clip=1.0)
    peer = SimpleNamespace(fit_score=lambda *_, **__: result)
    monkeypatch.setattr(real_sound, "peers", lambda: {"a peer": peer})
    plan = real_sound.Plan(real_sound.ON_STATISTICS, ("quick",), (0, 1), True, True, tmp_path, False)
    found = real_sound.runs_on(part, plan, folder=tmp_path)
    assert list(found) == [
        "one-class SVM",
        "Mahalanobis",
        "nearest neighbours",
        "ensemble: the three on log-mel statistics",
        "a peer",
    ]
    assert len(found["nearest neighbours"]) == 1
    together = found["ensemble: the three on log-mel statistics"][0]
    members = [found[title][0] for title in list(found)[:3]]
    z = [
        (each.scores.anomaly_scores - each.heldout.anomaly_scores.mean()) / each.heldout.anomaly_scores.std()
        for each in members
    ]
    assert together.scores.anomaly_scores == pytest.approx(np.mean(z, axis=0))


def test_networks_are_trained_with_each_seed_others_once():
    plan = real_sound.Plan(("vggish_knn", "lstm_predictor"), ("quick",), (0, 1), True, False, Path(), False)
    rows = [(each.detector, each.seed, each.before) for each in real_sound.recipes(plan)]
    lstm = [("lstm_predictor", seed, before) for seed in (0, 1) for before in (False, True)]
    assert rows == [("vggish_knn", 0, False), *lstm]


def test_a_row_shows_both_halves_and_the_second_ones_faults():
    first = run([0.0, 0.0, 1.0, 1.0], NORMAL[:2] + FAULTY[:2], threshold=0.5)
    other = run([0.0, 1.0, 1.0, 2.0], NORMAL[:2] + FAULTY[:2], threshold=1.5)
    line = real_sound.line("set", "title", {0: [first], 1: [other]}, (0.5, 1.0))
    assert line == (
        "| set | title | 1.000 / 0.875 | 0.500 to 1.000 | 1.000 / 0.763 | 10% | 0% / 0% | 100% / 50% | 0.50 | 2.0 "
        "| 3.0 |"
    )


def test_ranks_name_normal_clips_above_each_faulty_one():
    found = run([0.1, 0.2, 0.7, 0.9, 0.8, 0.05], NORMAL + FAULTY[:2], threshold=0.6)
    assert real_sound.ranks("title", found) == "| title | 2 of 4 | 1 of 2 | 1, 4 |"


def test_cuts_of_a_recording_are_in_one_half_however_long_the_clips(tmp_path, monkeypatch):
    lathe = tmp_path / "lathe"
    rows = [("normal", block, number) for block in range(6) for number in range(50 * block, 50 * block + 7 + block)] + [
        ("anomalous", block, number) for block in range(6, 8) for number in range(50 * block, 50 * block + 5)
    ]
    (lathe / "cuts").mkdir(parents=True)
    with (lathe / "recordings.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "label", "series", "number", "block"])
        table.writerows((f"cuts/lm_{n:04}.wav", label, "LM", n, block) for label, block, n in rows)
    for _, _, number in rows:
        (lathe / "cuts" / f"lm_{number:04}.wav").write_bytes(encode_wav(np.full(8000, number / 1000, np.float32)))
    monkeypatch.setattr(real_sets, "REAL", tmp_path)
    short, long = real_sets.lathe(tmp_path), real_sets.lathe(tmp_path, seconds=5)
    assert len(short.clips) == len(rows)
    assert len(long.clips) == 6 * 1 + 3 + 2  # blocks of 10, 11 and 12 cuts give two clips of five
    assert short.halves == long.halves
    for half in (0, 1):
        part = long.part(half)
        assert {clip.label for clip in part.train} == {"normal"}
        assert {short.halves[clip.recording] for clip in part.train} == {1 - half}
        assert {short.halves[clip.recording] for clip in part.test} == {half}
    joined = next(clip for clip in long.clips if clip.relative == "normal/lm_0050.wav")
    assert joined.recording == "normal LM 1"
    assert joined.path.stat().st_size > 2 * 5 * 8000


def test_cuts_that_do_not_follow_each_other_are_not_joined():
    clips = [Clip(Path(f"x_{number}.wav"), "", "00", "train", "normal") for number in (1, 2, 3, 5, 6, 7, 8)]
    runs = [[real_sets._number(clip) for clip in found] for found in real_sets._consecutive(clips, 2)]
    assert runs == [[1, 2], [5, 6], [7, 8]]


def test_without_real_recordings_nothing_is_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(real_sound, "REAL", tmp_path / "missing")
    monkeypatch.setattr("sys.argv", ["real_sound"])
    assert real_sound.main() == 0
    assert capsys.readouterr().out.startswith("skipped: ")


@pytest.mark.real_data
def test_the_slide_rails_parts_share_no_clip():
    if not real_sets.SLIDER.is_dir():
        pytest.skip("the real DCASE clips are not here (../shared/data)")
    part = real_sets.slider_part()
    assert (len(part.train), len(part.test)) == (60, 21)
    assert {clip.label for clip in part.train} == {"normal"}
    assert sum(clip.label == "anomalous" for clip in part.test) == 3
    assert not {clip.path for clip in part.train} & {clip.path for clip in part.test}
