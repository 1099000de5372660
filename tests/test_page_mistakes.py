"""Wrong on purpose on the threshold page: what is said, the numbers, the URL; and the words for rules."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.evaluation.label_rules import from_labelled_scores
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.thresholds import RULES, from_normal_scores
from asd_core.evaluation.uncertainty import Interval, wilson
from asd_core.tasks.assess import threshold_by_rule
from asd_core.tasks.fitted_clips import FittedScores
from asd_core.tasks.neighbours import Trial
from asd_core.tasks.pollution import Outcome, Pollution
from pages.parts.threshold.rule_words import OF_LABELS, OF_NORMAL, ordinal, rule_line
from pages.shared.rules import LABEL_MARK, rule_title

SLIDER = PROJECT / "artifacts" / "simulated-small" / "slider"
KNN, GRU, AE = (open_artifact(SLIDER / name) for name in ("vggish_knn", "gru_autoencoder", "dcase_autoencoder"))


def script(name: str) -> None:
    """Show the mistake that the URL names for one detector, as the page does."""
    import streamlit as st

    from asd_core.artifacts.store import open_artifact
    from asd_core.detectors import DETECTOR_NAMES
    from pages.parts.threshold.mistakes import mistake_band, mistake_choice, show_mistake
    from pages.shared.cache import tested
    from pages.shared.context import PROJECT, Chosen

    slider = PROJECT / "artifacts" / "simulated-small" / "slider"
    chosen = Chosen("simulated-small", "slider", {each: slider / each for each in DETECTOR_NAMES}, (name,))
    artifact = open_artifact(slider / name)
    mistake = mistake_choice()
    mistake_band(mistake)
    st.session_state["markers"] = show_mistake(mistake, chosen, artifact, tested(artifact))


@pytest.fixture
def shown(monkeypatch):
    """Return a function that opens the script by a link."""
    monkeypatch.syspath_prepend(str(PROJECT))

    def open_(name: str = "vggish_knn", **query: str) -> AppTest:
        app = AppTest.from_function(script, default_timeout=120, kwargs={"name": name})
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return open_


@pytest.fixture
def fits(monkeypatch, tmp_path):
    """Replace what listens to clips by figures, and let the clips be here."""
    from pages.parts.threshold import mistakes_of_fits as page

    monkeypatch.setenv("ASD_DATA_DIR", str(tmp_path))
    for name in ("simulated-small", "simulated-recordings"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(page, "indexed", lambda *_: None)
    monkeypatch.setattr(page, "detector", lambda _: None)
    return page


def text_of(app: AppTest) -> str:
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.warning, *app.info))


def cells(app: AppTest) -> list[list[str]]:
    return [[cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row] for row in app.table[0].value.to_numpy().tolist()]


def test_a_page_without_a_mistake_says_nothing_of_it_and_neither_does_its_link(shown):
    app = shown()
    assert (text_of(app), app.session_state["markers"]) == ("", ())
    assert "mistake" not in app.query_params
    app.selectbox(key="mistake").set_value("pooled").run()
    assert app.query_params["mistake"] == "pooled"
    assert "Wrong on purpose: one threshold for all machine ids" in app.warning[0].value
    app.selectbox(key="mistake").set_value("none").run()
    assert "mistake" not in app.query_params


def test_on_test_labels_the_announced_figures_are_those_of_the_best_point(shown):
    app = shown(mistake="labels", mistake_rule="best_f1")
    scores = KNN.scores.of("test")
    best = from_labelled_scores("best_f1", scores.is_anomalous, scores.anomaly_scores).value
    alarms = scores.anomaly_scores >= best
    found, false = int(alarms[scores.is_anomalous].sum()), int(alarms[~scores.is_anomalous].sum())
    rows = cells(app)
    assert rows[0][1].startswith(f"{100 * false / 150:.1f} % ({false}/150) [")
    assert rows[0][2].startswith(f"{100 * found / 150:.1f} % ({found}/150) [")
    assert rows[0][3].startswith(f"{2 * found / (150 + found + false):.3f} [")
    assert [row[0].split(":")[0] for row in rows] == ["Wrong", "Right", "Wrong", "Right"]
    (marker,) = app.session_state["markers"]
    assert (marker.threshold, marker.uses_test_labels) == (best, True)
    assert "**Uses test labels.**" in text_of(app)
    assert app.query_params["mistake_rule"] == "best_f1"
    app.selectbox(key="mistake").set_value("none").run()
    assert not [name for name in app.query_params if name.startswith("mistake")]


def test_a_price_of_the_labels_is_told_and_a_few_clips_make_it_larger(shown):
    words = text_of(shown("dcase_autoencoder", mistake="labels", mistake_rule="best_f1"))
    assert "**The price.** Announced F1 0.8" in words
    assert "Chosen on 10 + 10 labelled clips only: announced 0.889, then 0.796." in words
    assert "trained on simulated sound" in words


def test_pooled_ids_have_both_thresholds_side_by_side(shown):
    app = shown(mistake="pooled")
    rows = cells(app)
    assert rows[0] == ["id 00: one for all", "9.391", "4.0 % (2/50) [1.1, 13.5]", "80.0 % (40/50) [67.0, 88.8]"]
    assert rows[1] == ["id 00: its own", "8.314", "12.0 % (6/50) [5.6, 23.8]", "96.0 % (48/50) [86.5, 98.9]"]
    assert len(rows) == 6
    markers = app.session_state["markers"]
    assert [marker.label for marker in markers] == ["one for all ids", "id 00 alone", "id 02 alone", "id 04 alone"]
    heldout = KNN.scores.of("heldout")
    own = from_normal_scores("conformal", heldout.anomaly_scores, machine_ids=heldout.machine_ids)
    assert [marker.threshold for marker in markers] == [own.value, *(own.per_id or {}).values()]
    words = text_of(app)
    assert "**Here it costs nothing.** The rule aims at 10 % false alarms." in words
    assert "By one threshold for all ids there are 0.0 % to 8.0 %, depending on the id; by thresholds of their" in words
    assert "of their own 0.0 % to 12.0 %, depending on the id, no closer together." in words
    assert "averaged, it is 0.929 [0.899, 0.956]; over all clips together 0.935 [0.906, 0.962], 0.006 higher" in words


def test_thresholds_of_their_own_that_lie_closer_together_show_the_price_of_pooling(shown):
    words = text_of(shown("gru_autoencoder", mistake="pooled"))
    assert "**The price.** The rule aims at 10 % false alarms." in words
    assert "With 12 held-out clips an id's own threshold is unsteady" in words


def test_ids_whose_rates_are_equal_are_not_given_a_range(shown):
    words = text_of(shown("dcase_autoencoder", mistake="pooled"))
    assert "there are 8.0 % for each id; by thresholds of their own 6.0 % to 42.0 %, depending on the id, no" in words


def test_training_clips_that_are_known_by_heart_make_every_clip_an_alarm(shown, fits, monkeypatch):
    monkeypatch.setattr(fits, "score_fitted", lambda *_, **__: FittedScores(np.zeros(180), 180))
    app = shown(mistake="training")
    rows = cells(app)
    assert rows[0] == ["Threshold", "0", "9.391"]
    assert rows[3] == ["False-alarm rate seen", "100.0 % (150/150) [97.5, 100.0]", "4.0 % (6/150) [1.8, 8.5]"]
    assert rows[4][1:] == ["100.0 % (150/150) [97.5, 100.0]", "74.0 % (111/150) [66.4, 80.4]"]
    words = text_of(app)
    assert "100.0 % false alarms instead of the promised 10 %: 144 more false alarms among 150 normal clips." in words
    assert "All 180 training clips score 0" in words
    assert [marker.label for marker in app.session_state["markers"]] == ["from training clips", "from held-out clips"]
    assert app.session_state["markers"][1].threshold == KNN.threshold.value


def test_a_network_waits_for_a_press_and_may_have_no_price_to_show(shown, fits, monkeypatch):
    scored = FittedScores(np.concatenate([np.full(30, 1.1), np.zeros(114)]), 144)
    monkeypatch.setattr(fits, "score_fitted", lambda *_, **__: scored)
    app = shown("gru_autoencoder", mistake="training")
    assert len(app.table) == 0
    (button,) = app.button
    assert button.label == "Score 144 training clips (about 14 s)"
    button.click().run()
    assert not app.button
    words = text_of(app)
    assert "**Here it costs nothing.**" in words
    assert "One cannot know that without held-out clips." in words
    assert "The right way misses its promise here, too, at 25.3 %" in words


def test_learned_faults_are_shown_beside_the_clean_detector(shown, fits, monkeypatch):
    area = Interval(0.9, 0.95, 0.93)
    clean = Outcome(9.0, area, (6, 150), (18, 45), (92, 102))
    polluted = Outcome(9.5, area, (5, 150), (3, 45), (95, 102))
    clip = ScoredClip("x", "00", "test", "anomalous", "belt", "0" * 64, 1.0)
    asked = []

    class FewVectors:
        kinds, normal, clips, labels = ("belt", ""), (None,) * 180, (clip,) * 300, np.array([True, False])
        n_normal_all, n_test_all, digests = 2000, 300, ()

        def of_kind(self, kind):
            return np.ones(48 if kind == "belt" else 2)

    def pollute(_, kind, n):
        asked.append((kind, n))
        return Pollution(clean, polluted, Interval(-0.02, -0.005, -0.012), (clip,) * n)

    monkeypatch.setattr(fits, "vectors_of", lambda *_, **__: FewVectors())
    monkeypatch.setattr(fits, "pollute", pollute)
    app = shown("gru_autoencoder", mistake="polluted", mistake_clips="3")
    assert app.button[0].label == "Read 480 clips (about 12 s)"
    app.button[0].click().run()
    assert not app.exception
    assert asked == [("belt", 3)]
    assert cells(app)[3] == ["Found: belt", "6.7 % (3/45) [2.3, 17.9]", "40.0 % (18/45) [27.0, 54.5]"]
    words = text_of(app)
    assert "nearest neighbours" in words
    assert (
        "Of 45 other clips of belt, 3 are found instead of 18. Besides: 3 more of the other faults and 1 fewer" in words
    )
    assert "The AUC changes by -0.012 [-0.020, -0.005]." in words
    assert "180 of 2000 training clips and 300 of 300 test clips are used" in words
    assert app.session_state["markers"] == ()
    app.selectbox(key="mistake_kind").set_value("").run()
    assert asked[-1] == ("", 1)


def test_neighbours_show_every_draw_of_both_ways(shown, fits, monkeypatch):
    from pages.shared import neighbour_trials

    def tried(_, held_out, *, split):
        n_alarms = 30 + 5 * split if held_out == "at_random" else 3
        test = [ScoredClip(f"{i}", "00", "test", "normal", "", "", 18.0 if i < n_alarms else 1.0) for i in range(100)]
        return Trial(held_out, Scores(()), Scores(tuple(test)), 18.0, 0.10, (), ())

    monkeypatch.setattr(neighbour_trials, "try_promise", tried)
    index = SimpleNamespace(clips=())
    monkeypatch.setattr(neighbour_trials, "indexed", lambda *_: SimpleNamespace(index=index))
    app = shown(mistake="neighbours")
    app.button[0].click().run()
    assert not app.exception
    rows = cells(app)
    assert rows[2] == ["False-alarm rate seen, mean", "40.0 % [32.0, 48.0]", "3.0 % [3.0, 3.0]"]
    assert rows[3][1:] == ["30/100, 35/100, 40/100, 45/100, 50/100", ", ".join(["3/100"] * 5)]
    words = text_of(app)
    assert "40.0 % false alarms on new days instead of the promised 10.0 %; by whole recordings 3.0 %." in words
    assert "Simulated data" in words


@pytest.mark.parametrize("with_number", [True, False])
def test_every_rule_has_a_title_that_no_list_cuts_off(with_number):
    titles = [rule_title(rule, with_number=with_number) for rule in RULES]
    assert len(set(titles)) == len(RULES)
    assert max(map(len, titles)) <= 41
    for rule, spec in RULES.items():
        assert rule_title(rule, with_number=with_number).startswith(LABEL_MARK) == spec.uses_test_labels


@pytest.mark.parametrize("rule", [rule for rule, spec in RULES.items() if spec.default is not None])
def test_a_title_with_its_number_names_the_default(rule):
    default = RULES[rule].default or 0.0
    number = f"{100 * default:g} %" if default < 1 else f"{default:g}"
    assert number in rule_title(rule, with_number=True)


@pytest.mark.parametrize("artifact", [KNN, AE], ids=["cross_fit", "held_out"])
@pytest.mark.parametrize("rule", sorted(set(RULES) - {"cost"}))
def test_every_rule_says_what_it_does_and_what_it_promises(artifact, rule):
    scores, value = artifact.scores.of("test").labelled(), 1.0 if rule == "manual" else None
    origin = threshold_by_rule(rule, scores, artifact.scores.of("heldout"), rule_value=value)
    line = rule_line(artifact, origin)
    assert ("Uses test labels" in line) == RULES[rule].uses_test_labels
    assert ("**Promise:**" in line) == RULES[rule].promises_fpr
    assert "{" not in line
    if rule in OF_NORMAL:
        calibration = artifact.manifest.calibration
        line = rule_line(artifact, replace(origin, per_id=None))
        assert calibration.basis in line
        assert calibration.clips_text(calibration.n) in line
    assert rule in {*OF_NORMAL, *OF_LABELS, "zero", "manual"}


def test_the_conformal_sentence_names_the_score_that_its_threshold_lies_above():
    line = rule_line(KNN, replace(KNN.threshold, per_id=None))
    ranked = np.sort(KNN.scores.of("heldout").anomaly_scores)[::-1]
    assert KNN.threshold.value == np.nextafter(ranked[17], np.inf)
    assert line.startswith("Just above the 18th highest score of 180 normal clips, each scored by a fit that has not")
    assert "**Promise:** at most 10 % of normal clips give a false alarm on average" in line
    assert line.endswith("(180 clips).")


def test_a_cost_names_its_ratio_and_the_share_of_faults():
    scores = KNN.scores.of("test")
    origin = from_labelled_scores("cost", scores.is_anomalous, scores.anomaly_scores, rule_value=30, prior=0.01)
    assert "a miss costing 30 times a false alarm, if 1 % of clips are anomalous." in rule_line(KNN, origin)


def test_thresholds_without_promise_or_value_say_so():
    unpromised = replace(KNN.threshold, per_id=None, promised_fpr=None)
    assert "**It promises nothing.** It rests on " in rule_line(KNN, unpromised)
    provisional = replace(KNN.threshold, rule="highest", provisional=True, promised_fpr=None, n_calibration=5)
    assert "**Provisional, the highest of 5 normal scores: no promise.**" in rule_line(KNN, provisional)
    assert rule_line(KNN, replace(KNN.threshold, value=None, reason="all *equal*")) == "No threshold: all \\*equal\\*."


def test_thresholds_of_the_ids_name_their_common_rule():
    line = rule_line(KNN, replace(KNN.threshold, per_id={"00": 1.0, "02": 2.0}))
    assert line.startswith("A threshold for each machine id, from its own clips by one rule: Held-out clips: promised")
    assert "**Promise:** at most 10 %" in line


def test_places_are_written_as_in_english():
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"
    ]  # fmt: skip


def test_the_interval_beside_a_rate_is_wilsons():
    from pages.parts.threshold.mistake_tables import rate_cell

    limits = wilson(18, 150)
    assert rate_cell(18, 150) == f"12.0 % (18/150) [{100 * limits.low:.1f}, {100 * limits.high:.1f}]"
    assert rate_cell(0, 0) == "\N{EN DASH}"
