"""Compare's views of all clips: the picture of the ranking, failures to press, the plane with its lasso, the map."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from printed import drawn, text_of
from sounds import PROJECT

from asd_core.artifacts.store import open_artifact
from asd_core.errors import InputError
from asd_core.evaluation.comparison import difference, holm, misses, outcome
from asd_core.evaluation.metrics import confusion_at
from asd_core.evaluation.scores import ScoredClip, Scores
from asd_core.evaluation.summary import ranking
from asd_core.evaluation.trivial import BestNumber
from asd_core.evaluation.uncertainty import Interval, difference_text, wilson
from asd_core.reports.published import REAL_SLIDE_RAIL
from asd_core.tasks.compare import Method, join, with_ensemble
from pages.parts.compare import clips as compare_clips
from pages.parts.compare import failures, lassos, listing, maps
from pages.parts.compare import methods as compare_methods
from pages.parts.compare import ranking as compare_ranking
from pages.shared.components.plane import Marks, PlaneAxis, checked_corners, inside
from pages.shared.components.ranking import RankedRow, Reference, ReferenceGroup, ranking_message
from pages.shared.context import Chosen

EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
DETECTORS = ("vggish_ocsvm", "lstm_predictor", "gru_autoencoder")
SLIDER = Chosen("simulated-small", "slider", {})
BEST = BestNumber("level", False, 15, 300, 0.712, 0.723, 0.634, {})
SQUARE = ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5), (0.1, 0.5))


@pytest.fixture(scope="module")
def embedded():
    """Three detectors that come with the project, judged by their own thresholds."""
    methods = [Method.of(open_artifact(EMBEDDED / name)) for name in DETECTORS]
    return compare_methods.judged(join(methods), compare_methods.SAVED)


@pytest.fixture(scope="module")
def picture(embedded):
    """What the browser gets of them."""
    app = drawn(lambda: compare_ranking.ranking_view(SLIDER, embedded))
    return messages(app)["ranking"]


def messages(app) -> dict[str, dict]:
    return {each.proto.id.rsplit("-", 1)[-1]: json.loads(each.proto.json) for each in app.get("bidi_component")}


def clip(number: int, label: str, score: float, *, kind: str = "", machine_id: str = "00") -> ScoredClip:
    return ScoredClip(f"test/{label}_{number}.wav", machine_id, "test", label, kind, f"{label} {number}", score)


def judged_of(*columns: tuple[str, list[tuple[str, float]]], threshold: float = 5.0):
    """Detectors with these titles on clips of (label, score) each, all judged by one threshold."""
    methods = [
        Method(title, title, Scores(tuple(clip(n, label, score) for n, (label, score) in enumerate(rows))), Scores(()))
        for title, rows in columns
    ]
    found = compare_methods.judged(join(methods), "youden")
    return replace(
        found,
        thresholds=tuple(replace(each, value=threshold) for each in found.thresholds),
        alarms=found.comparison.anomaly_scores >= threshold,
    )


# The picture


def test_the_ranks_follow_the_mean_auc_and_every_figure_is_the_packages(embedded, picture):
    found = {}
    for row, method in enumerate(embedded.comparison.methods):
        value = embedded.thresholds[row].value
        counts = confusion_at(method.scores.is_anomalous, method.scores.anomaly_scores, value)
        found[embedded.titles[row]] = ranking(method.scores).auc_mean, counts
    order = sorted(found, key=lambda title: -found[title][0].estimate)
    assert [row["title"] for row in picture["rows"]] == order
    assert [row["rank"] for row in picture["rows"]] == [1, 2, 3]
    assert [row["name"] for row in picture["rows"]] == ["LSTM", "GRU", "SVM"]
    for row in picture["rows"]:
        auc, counts = found[row["title"]]
        assert row["auc"] == [auc.estimate, list(auc.limits)]
        assert row["aucText"] == [f"{auc.estimate:.3f}", f"[{auc.low:.3f}, {auc.high:.3f}]"]
        for rate, k, n in zip(row["rates"], (counts.fp, counts.tp), (150, 150), strict=True):
            assert rate["text"] == [f"{100 * k / n:.1f} %", f"({k}/{n})"]
            assert rate["limits"] == list(wilson(k, n).limits)
            low, high = (100 * limit for limit in rate["limits"])
            assert rate["range"] == f"[{low:.1f}, {high:.1f}]"


def test_who_beats_whom_is_said_by_the_adjusted_test_from_both_sides(embedded, picture):
    methods = embedded.comparison.methods
    pairs = list(combinations(range(3), 2))
    gaps = [difference(methods[a].scores, methods[b].scores) for a, b in pairs]
    adjusted = holm([gap.p_value for gap in gaps])
    texts = {pair: difference_text(gap.auc_mean) for pair, gap in zip(pairs, gaps, strict=True)}
    told, wanted = dict(zip(pairs, adjusted, strict=True)), {}
    for (a, b), gap, p in zip(pairs, gaps, adjusted, strict=True):
        wanted[a, b] = outcome(gap.auc_mean.estimate, p)
        wanted[b, a] = outcome(-gap.auc_mean.estimate, p)
    positions = [embedded.titles.index(row["title"]) for row in picture["rows"]]
    for at, row in zip(positions, picture["rows"], strict=True):
        for other, against in zip(positions, row["against"], strict=True):
            if at == other:
                assert against is None
            else:
                assert against["outcome"] == wanted[at, other]
                gap = texts[min(at, other), max(at, other)]
                p = told[min(at, other), max(at, other)]
                assert f"mean AUC {gap}, p {'<' if p < 0.001 else '='} {max(p, 0.001):.3f} (Holm)" in against["words"]
    assert {against["outcome"] for row in picture["rows"] for against in row["against"] if against} == {
        "better",
        "worse",
        "even",
    }


def test_the_sentence_above_names_the_best_whom_it_beats_and_that_clips_are_simulated(picture):
    text = "".join(picture["lead"])
    assert text.startswith("On 300 simulated test clips, LSTM ranks best (mean AUC 0.939): better than GRU and SVM")
    assert picture["lead"][1] == "LSTM"


def test_detectors_of_the_same_area_rank_best_together_and_none_leads(embedded):
    best, second, last = compare_ranking._rows(embedded)
    same = replace(second, auc=best.auc)
    text = "".join(compare_ranking._lead(embedded, [replace(best, against=[None, None, None]), same, last]))
    assert f"{best.name} and {second.name} rank best together (mean AUC 0.939)" in text
    assert text.endswith(f"their lead over {last.name} may be chance.")


def test_trivial_and_published_figures_are_named_for_what_they_are(picture):
    trivial, published = picture["groups"]
    assert picture["trivial"] == trivial["references"][0]["auc"]
    assert "uses test labels" in trivial["references"][0]["name"]
    assert (published["title"], published["note"]) == ("Published, real rail", "3 ids; not these clips")
    known = sorted((each.auc_mean for each in REAL_SLIDE_RAIL if len(each.ids) == 3 and each.auc_mean), reverse=True)
    assert [each["auc"] for each in published["references"]] == known
    by_labels = [each["name"] for each in published["references"] if "uses test labels" in each["name"]]
    assert by_labels == ["STgram-MFN (ArcFace), uses test labels"]


def test_another_machine_has_no_published_figures(embedded):
    pump = Chosen("mine", "pump", {})
    groups = compare_ranking._references(pump, embedded, BEST)
    assert [group.title for group in groups] == ["Best trivial number"]
    assert compare_ranking._references(pump, embedded, None) == []


def test_an_ensemble_and_an_import_have_names_of_their_own(embedded):
    both = compare_methods.judged(with_ensemble(embedded.comparison), compare_methods.SAVED)
    assert compare_methods.short_title(both, 3) == "Ensemble"
    imported = judged_of(("theirs", [("normal", 1.0), ("anomalous", 9.0)]))
    assert compare_methods.short_title(imported, 0) == "theirs"


def test_a_detector_without_an_area_comes_last_and_without_a_threshold_has_no_rates():
    def found(auc):
        return SimpleNamespace(auc_mean=None if auc is None else Interval(auc - 0.1, auc + 0.1, auc))

    assert compare_ranking.ranking_order([found(None), found(0.7), found(0.9)]) == [2, 1, 0]
    rows = [RankedRow("A", "A", "", "red", None, None, None, [None])]
    message = ranking_message(rows, [], lead=["."], legend="")
    assert (message["axis"], message["rows"][0]["aucText"]) == (None, ("not defined", ""))
    assert message["rows"][0]["rates"] == [None, None]


@pytest.mark.parametrize("aucs", [(0.5, 0.99), (0.903, 0.904), (1.0, 1.0), (0.02, 0.4)])
def test_the_axis_holds_every_value_and_has_three_numbers_at_least(aucs):
    rows = [RankedRow("A", "A", "", "red", Interval(aucs[0], aucs[1], aucs[0]), None, None, [None])]
    group = ReferenceGroup("Best trivial number", "", [Reference("level", 0.31)], draws_line=True)
    axis = ranking_message(rows, [group], lead=["."], legend="")["axis"]
    assert 0 <= axis["low"] <= min(*aucs, 0.31)
    assert max(aucs) <= axis["high"] <= 1
    assert axis["high"] - axis["low"] >= 0.1 - 1e-9
    assert len(axis["ticks"]) >= 3


def test_an_axis_of_equal_areas_is_a_tenth_long():
    rows = [RankedRow("A", "A", "", "red", Interval(0.911, 0.913, 0.912), None, None, [None])]
    axis = ranking_message(rows, [], lead=["."], legend="")["axis"]
    assert axis["high"] - axis["low"] == pytest.approx(0.1)


def test_an_area_without_spread_claims_no_interval():
    rows = [RankedRow("A", "A", "", "red", Interval.undefined(1.0, "no spread"), None, None, [None])]
    message = ranking_message(rows, [], lead=["."], legend="")["rows"][0]
    assert message["aucText"] == ("1.000", "no interval: no spread")
    assert message["auc"] == [1.0, None]


# Failures


def test_a_cell_lists_exactly_its_wrong_clips_the_furthest_from_the_threshold_first(embedded):
    cells = failures._cells(embedded)
    for name, cell in cells.items():
        rows = failures.wrong_clips(embedded, cell)
        assert len(rows) == cell.failures.k, name
        own = [embedded.comparison.clips[row] for row in rows]
        assert {each.label for each in own} <= {cell.counting.label}
        scores = embedded.comparison.anomaly_scores[cell.method, rows]
        away = np.abs(scores - embedded.thresholds[cell.method].value)
        assert (np.diff(away) <= 0).all()
    belt = next(each for each in misses(embedded.comparison.clips, embedded.alarms[0], failures._kind_of))
    assert cells["missed_kind:belt:vggish_ocsvm"].failures == belt


def test_the_worst_cell_is_pressed_at_first_and_a_link_names_another(embedded, monkeypatch):
    monkeypatch.setattr(failures, "clip_list", lambda *_, **__: None)
    app = drawn(lambda: failures.failures_view(SLIDER, embedded))
    assert messages(app)["failures"]["pressed"] == "missed_kind:belt:vggish_ocsvm"
    linked = drawn(lambda: failures.failures_view(SLIDER, embedded), failure="false_id:id 02:gru_autoencoder")
    assert messages(linked)["failures"]["pressed"] == "false_id:id 02:gru_autoencoder"
    assert "**GRU** calls 18 of 50 normal clips of id 02 anomalous" in text_of(linked)


# Lists


def test_rows_of_a_list_say_who_calls_them_anomalous_and_a_presented_one_does_not_tell_by_its_name(
    embedded, monkeypatch
):
    row = next(n for n, each in enumerate(embedded.comparison.clips) if each.label == "anomalous")
    shown = listing._sound(SLIDER, embedded, row, 7)
    assert "anomaly" in shown.title
    names = [embedded.titles[method] for method in range(3) if embedded.alarms[method, row]]
    assert shown.note.count(",") == max(0, len(names) - 1)
    monkeypatch.setattr(listing, "presented", lambda: True)
    hidden = listing._sound(SLIDER, embedded, row, 7)
    assert hidden.title == f"id {embedded.comparison.clips[row].machine_id} · clip 7"
    assert (hidden.tone, hidden.truth) == (shown.tone, shown.truth)


def test_nobody_raising_an_alarm_is_said(embedded):
    quiet = next(row for row in range(300) if not embedded.alarms[:, row].any())
    assert listing.verdicts_text(embedded, quiet) == "no alarm"


# The plane and its lasso


def test_a_lasso_holds_what_lies_inside_of_it_whichever_way_it_was_drawn():
    points = np.array([[0.3, 0.3], [0.05, 0.3], [0.6, 0.3], [0.3, 0.7], [0.49, 0.11]])
    assert inside(points, SQUARE).tolist() == [True, False, False, False, True]
    assert inside(points, SQUARE[::-1]).tolist() == inside(points, SQUARE).tolist()
    bow = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
    assert inside(np.array([[0.1, 0.5], [0.9, 0.5], [0.5, 0.1], [0.5, 0.9]]), bow).tolist() == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(InputError, match="at least 3 corners"):
        inside(points, SQUARE[:2])


@pytest.mark.parametrize(
    "told",
    [
        None,
        "x",
        [[0, 0], [1, 1]],
        [[0, 0], [1, 1], [2, 0]],
        [[0, 0], [1, 1], ["a", 0]],
        [[0, 0], [1, 1], [0]],
        [[0, 0]] * 65,
        [[0, 0], [1, 1], [float("nan"), 0]],
    ],
)
def test_what_is_no_lasso_is_passed_over(told):
    assert checked_corners(told) is None


def test_a_lasso_is_named_by_the_url_for_its_plane_alone_and_goes_when_cleared():
    def keep_and_show():
        import streamlit as st

        from pages.parts.compare import lassos

        lassos.keep_lasso("map", ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5)))
        own, other = lassos.drawn_lasso("map"), lassos.drawn_lasso("scatter-0-1")
        st.text(f"{own} {other}")

    app = drawn(keep_and_show)
    assert app.text[0].value == "((0.1, 0.1), (0.5, 0.1), (0.5, 0.5)) ()"
    linked = drawn(lambda: lassos.drawn_lasso("map"), lasso="map~100-100~500-100~500-500")
    assert "map~100-100~500-100~500-500" in linked.query_params["lasso"]
    for broken in ("map~100-100~500", "map~a-b~c-d~e-f", "map~", "map~0-0~1000-1000~7000-7000", "map~²-1~1-1~2-1"):
        assert "lasso" not in drawn(lambda: lassos.drawn_lasso("map"), lasso=broken).query_params


def test_the_line_about_a_lasso_counts_labels_and_alarms():
    judged = judged_of(("A", [("normal", 1.0), ("normal", 9.0), ("anomalous", 7.0), ("anomalous", 2.0)]))
    line = text_of(drawn(lambda: lassos.lasso_line(judged, [1, 2, 3])))
    assert "**3 clips** in the lasso: 1 normal, 2 anomalous. Called anomalous: A 66.7 % (2/3)." in line
    assert "Called" not in text_of(drawn(lambda: lassos.lasso_line(judged, [])))


def test_a_lasso_lists_all_clips_inside_of_it_and_the_clip_list_gives_way(embedded, monkeypatch):
    listed = []
    monkeypatch.setattr(compare_clips, "clip_list", lambda _, __, rows, **___: listed.append(rows))
    monkeypatch.setattr(compare_clips, "play", lambda *_: None)
    text = "scatter-0-1~0-0~500-0~500-1000~0-1000"
    app = drawn(lambda: compare_clips.scatter_view(SLIDER, embedded), lasso=text)
    scores = embedded.comparison.anomaly_scores[0]
    values = [*scores, embedded.thresholds[0].value]
    room = 0.04 * (max(values) - min(values))
    middle = (min(values) + max(values)) / 2
    assert room > 0
    assert listed[-1] == np.flatnonzero(scores < middle).tolist()
    assert not [box for box in app.selectbox if box.key == "compared_clip"]
    without = drawn(lambda: compare_clips.scatter_view(SLIDER, embedded))
    assert [box for box in without.selectbox if box.key == "compared_clip"]


def test_an_axis_holds_its_values_and_the_threshold_in_units_or_in_powers():
    values = np.array([0.01, 0.1, 1.0])
    plain = PlaneAxis.over(values, "x", also=2.0)
    assert plain.low < 0.01
    assert plain.high > 2.0
    log = PlaneAxis.over(values, "x", is_log=True)
    shares = log.shares(values)
    assert shares[1] == pytest.approx((shares[0] + shares[2]) / 2)
    assert (shares > 0).all()
    assert (shares < 1).all()
    assert PlaneAxis.over(values, "x", is_log=True, also=-3.0).low > 0  # a power has no place for it
    same = PlaneAxis.over(np.array([2.0, 2.0]), "x")
    assert same.low < 2.0 < same.high
    assert len(log.message["ticks"]) >= 3


def test_marks_differ_by_colour_and_by_shape_and_keep_their_kinds():
    marks = Marks(np.zeros((3, 2)), ["rail", "normal", "belt"], ["x", "y", "z"]).message()
    names = [group["name"] for group in marks["groups"]]
    assert names == ["normal", "belt", "rail"]
    assert [names[kind] for kind in marks["kinds"]] == ["rail", "normal", "belt"]
    assert len({group["form"] for group in marks["groups"]}) == 3
    assert len({group["colour"] for group in marks["groups"]}) == 2
    alone = Marks(np.zeros((1, 2)), ["rail"], ["x"]).message()
    assert alone["groups"][0]["colour"] == marks["groups"][1]["colour"]


# The map


def mapping(n: int, heard: list[str], *, name: str) -> maps.Mapping:
    def load(scored: ScoredClip, channel: int | None):
        heard.append(scored.path)
        return SimpleNamespace(number=len(heard))

    return maps.Mapping(tuple(clip(each, f"normal {name}", 0.0) for each in range(n)), None, load)


@pytest.fixture
def encoder(monkeypatch):
    vectors = SimpleNamespace(encode=lambda sound: np.random.default_rng(sound.number).normal(size=(2, 4)))
    monkeypatch.setattr(maps, "load_encoder", lambda _: vectors)


def test_a_turn_ends_with_its_time_but_not_before_there_is_a_map_to_look_at(encoder):
    heard: list[str] = []
    own = mapping(60, heard, name="turns")
    own.listen(for_s=0.0)
    assert len(heard) == len(own.known()) == 24
    own.listen(for_s=0.0)
    assert len(heard) == 25
    own.listen(for_s=60.0)
    assert len(set(heard)) == len(heard) == 60
    points, shares = own.finish(own.known())
    assert points.shape == (60, 2)
    assert 0 < shares[1] <= shares[0] <= 1


def test_the_points_of_the_finished_map_are_in_the_order_of_the_clips(encoder):
    own = mapping(30, [], name="order")
    own.listen(for_s=60.0)
    assert own.order != list(range(30))
    points, _ = own.finish(own.known())
    rows = np.array([own.vector(row) for row in range(30)])
    np.testing.assert_array_equal(points, maps.projected(rows)[0])


def test_whoever_comes_while_another_session_listens_goes_on_at_once(encoder):
    own = mapping(30, [], name="turn taken")
    own.listen(for_s=0.0)
    with maps._turn(own.key):
        own.listen(for_s=60.0)
    assert len(own.known()) == 24
