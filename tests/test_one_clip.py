"""Compare's view of one clip: which clips a filter leaves, who is right, and what tells the truth and what does not."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import PROJECT
from streamlit.testing.v1 import AppTest

from asd_core.artifacts.store import open_artifact
from asd_core.evaluation.common_scale import on_common_scale
from asd_core.evaluation.thresholds import is_anomalous
from asd_core.formats import score_text
from asd_core.system.files import csv_text
from asd_core.tasks.compare import Method, join, with_ensemble
from pages.parts.compare.methods import judged, short_title
from pages.parts.compare.one_clip import gauges_of
from pages.parts.compare.one_clip_choice import Filter, among_titles, by_truth, by_verdicts, order_of, truth_titles
from pages.parts.compare.who_is_right import who_calls_it, who_is_right

EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
DETECTORS = ("vggish_ocsvm", "lstm_predictor", "gru_autoencoder")
HOSTILE = "=<b>[x](javascript:alert(1)).csv"
TELLING = re.compile(r"anomal(y_|ous \()|normal_id|\bright\b|\bwrong\b|\bmiss|false alarm")
"""What would tell a clip's label: its name, its kind, and who is right."""


@pytest.fixture(scope="module")
def artifacts():
    return {name: open_artifact(EMBEDDED / name) for name in DETECTORS}


@pytest.fixture(scope="module")
def three(artifacts):
    """The three detectors on their common clips, at their current thresholds."""
    return judged(join([Method.of(artifact) for artifact in artifacts.values()]), "saved")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("artifacts")
    for name in DETECTORS:
        shutil.copytree(EMBEDDED / name, out / "simulated-small" / "slider" / name)
    return out


@pytest.fixture
def opened(monkeypatch, trained):
    """Return a function that opens the page by a link."""

    def open_(**query: str) -> AppTest:
        monkeypatch.setenv("ASD_ARTIFACTS_DIR", str(trained))
        monkeypatch.syspath_prepend(str(PROJECT))
        app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120).run()
        app.switch_page("pages/compare.py")
        for name, value in query.items():
            app.query_params[name] = value
        if "present" in query:  # the overview, which the session has opened before, is no page for walls
            app.session_state["present"] = True
        app.run()
        assert not app.exception
        return app

    return open_


def messages(app: AppTest) -> list[dict]:
    return [json.loads(each.proto.json or "{}") for each in app.get("bidi_component")]


def gauges_on(app: AppTest) -> dict:
    return next(message for message in messages(app) if "headline" in message)


def player_on(app: AppTest) -> dict:
    return next(message for message in messages(app) if "panels" in message)


def chosen_digest(app: AppTest) -> str:
    return app.selectbox(key="compared_clip").value


def text_of(app: AppTest) -> str:
    kinds = ("markdown", "caption", "text", "error", "warning", "info")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


# Who is right


@pytest.mark.parametrize(
    ("alarms", "is_anomalous", "expected"),
    [
        ([True, True, True], True, "All three are right."),
        ([True, True, False], True, "Two of three are right: C misses it."),
        ([True, False, False], True, "One of three is right: B and C miss it."),
        ([False, False, False], True, "All three are wrong: they miss it."),
        ([True, False, False], False, "Two of three are right: A gives a false alarm."),
        ([True, True, False], False, "One of three is right: A and B give a false alarm."),
        ([True, True, True], False, "All three are wrong: they give a false alarm."),
        ([True, True], True, "Both are right."),
        ([False, False], True, "Both are wrong: they miss it."),
        ([True], True, "A is right."),
        ([True], False, "A is wrong: it gives a false alarm."),
        ([], True, "No detector has a threshold by this rule."),
        ([True] * 12 + [False], True, "Twelve of 13 are right: M misses it."),
    ],
)
def test_one_sentence_says_who_is_right(alarms, is_anomalous, expected):
    named = [(chr(ord("A") + row), alarm) for row, alarm in enumerate(alarms)]
    assert who_is_right(named, is_anomalous=is_anomalous) == expected


@pytest.mark.parametrize(
    ("alarms", "expected"),
    [
        ([True, True, False], "Two of three call it anomalous."),
        ([False, False, True], "One of three calls it anomalous."),
        ([True, True, True], "All three call it anomalous."),
        ([False, False], "Both call it normal."),
        ([True], "A calls it anomalous."),
        ([], "No detector has a threshold by this rule."),
    ],
)
def test_while_the_truth_is_hidden_only_the_verdicts_are_said(alarms, expected):
    assert who_calls_it([(chr(ord("A") + row), alarm) for row, alarm in enumerate(alarms)]) == expected


def test_detectors_without_a_threshold_are_counted():
    assert who_is_right([("A", True)], is_anomalous=True, n_silent=1) == "A is right; one has no threshold."
    assert who_calls_it([("A", True)], n_silent=2) == "A calls it anomalous; two have no threshold."


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_what_is_said_before_the_truth_is_the_same_whatever_it_is(alarms):
    named = [(f"D{row}", alarm) for row, alarm in enumerate(alarms)]
    assert not TELLING.search(who_calls_it(named))


# Which clips


def test_filters_by_verdicts_are_those_of_the_thresholds(three, artifacts):
    labels = three.comparison.labels
    alarms = np.array(
        [
            is_anomalous(method.scores.anomaly_scores, artifact.threshold.value)
            for method, artifact in zip(three.comparison.methods, artifacts.values(), strict=True)
        ]
    )
    n_right = (alarms == labels).sum(axis=0)
    assert (by_verdicts(three, "right") == (n_right == 3)).all()
    assert (by_verdicts(three, "wrong") == (n_right == 0)).all()
    assert (by_verdicts(three, "differ") == ((n_right > 0) & (n_right < 3))).all()
    assert (by_verdicts(three, "missed:1") == (labels & ~alarms[1])).all()
    assert (by_verdicts(three, "false:2") == (~labels & alarms[2])).all()
    assert by_verdicts(three, "any").all()
    assert set(among_titles(three)) == {
        *("any", "differ", "right", "wrong"),
        *(f"{what}:{row}" for what in ("missed", "false") for row in range(3)),
    }


def test_filters_by_label_and_kind_leave_each_clip_once(three):
    comparison = three.comparison
    titles = truth_titles(comparison)
    kinds = [truth for truth in titles if truth.startswith("kind:")]
    assert kinds == ["kind:belt", "kind:grease", "kind:rail"]
    assert (sum(by_truth(comparison, kind).astype(int) for kind in kinds) == comparison.labels).all()
    assert (by_truth(comparison, "normal") == ~comparison.labels).all()


def test_the_order_of_the_clips_tells_nothing_of_their_labels(three):
    order = order_of(three.comparison)
    digests = [three.comparison.clips[row].digest for row in order.rows]
    assert digests == sorted(digests)
    assert (order.numbers[order.rows] == np.arange(1, len(digests) + 1)).all()
    labels = three.comparison.labels[order.rows]
    assert 0.3 < (labels[1:] != labels[:-1]).mean() < 0.7


def test_a_part_of_a_name_leaves_the_clips_that_bear_it(three):
    rows = Filter(truth="anomalous", name="ID_02").rows(three)
    assert len(rows)
    assert all("anomaly_id_02" in three.comparison.clips[row].path for row in rows)


# The gauges


def test_a_gauge_is_the_score_on_the_common_scale_and_its_verdict_that_of_the_threshold(three, artifacts):
    for clip_row in (0, 100, 299):
        clip = three.comparison.clips[clip_row]
        gauges = gauges_of(three, clip_row, tells=True, shows_scores=True)
        for gauge, artifact in zip(gauges, artifacts.values(), strict=True):
            score = next(each.anomaly_score for each in artifact.scores.clips if each.digest == clip.digest)
            value, normal = artifact.threshold.value, artifact.scores.of("heldout").anomaly_scores
            alarm = bool(is_anomalous(score, value))
            assert gauge.place == on_common_scale(score, threshold=value, normal_scores=normal)
            assert gauge.word == ("anomalous" if alarm else "normal")
            assert gauge.outcome == ("right" if alarm == (clip.label == "anomalous") else "wrong")
            assert [text for text, _ in gauge.chips] == [f"score {score_text(score)}", f"threshold {score_text(value)}"]
            assert (gauge.normal == on_common_scale(normal, threshold=value, normal_scores=normal)).all()


def test_no_gauge_tells_who_is_right_before_the_truth_is_told(three):
    assert {gauge.outcome for gauge in gauges_of(three, 0, tells=False, shows_scores=True)} == {None}


def test_the_ensemble_has_a_gauge_at_its_own_threshold(three):
    joint = judged(with_ensemble(three.comparison), "saved")
    assert tuple(short_title(joint, row) for row in range(4)) == ("SVM", "LSTM", "GRU", "Ensemble")
    gauge = gauges_of(joint, 0, tells=True, shows_scores=False)[3]
    alarm = joint.comparison.anomaly_scores[3, 0] >= joint.thresholds[3].value
    assert gauge.word == ("anomalous" if alarm else "normal")
    assert (gauge.place >= 0.5) == alarm
    assert len(gauge.normal)


def test_rules_that_use_test_labels_are_marked_on_each_gauge(three):
    chips = [
        text for text, _ in gauges_of(judged(three.comparison, "youden"), 0, tells=True, shows_scores=False)[0].chips
    ]
    assert chips == ["uses test labels"]


# The page


def test_the_page_opens_on_a_clip_on_which_verdicts_differ(opened, three):
    app = opened()
    row = order_of(three.comparison).row_of[chosen_digest(app)]
    assert by_verdicts(three, "differ")[row]
    assert app.query_params["compared_clip"] == chosen_digest(app)
    message = gauges_on(app)
    assert [each["name"] for each in message["rows"]] == ["SVM", "LSTM", "GRU"]
    assert message["headline"]["truth"].startswith(three.comparison.clips[row].label)
    assert " of three " in message["headline"]["text"]
    assert [panel["label"].split(":")[0] for panel in player_on(app)["panels"][1:]] == ["SVM", "LSTM", "GRU"]


def test_a_link_opens_its_clip_by_path_digest_or_its_beginning(opened, three):
    clip = three.comparison.clips[17]
    for link in ({"clip": clip.path}, {"clip": clip.digest[:8]}, {"compared_clip": clip.digest}):
        app = opened(**link)
        assert chosen_digest(app) == clip.digest
        assert "clip" not in app.query_params


def test_a_link_opens_its_filter_and_next_stays_within_it(opened, three):
    app = opened(among="missed:0", truth="kind:rail", show="clip")
    rows = Filter("missed:0", "kind:rail").rows(three)
    seen = set()
    for _ in rows:
        seen.add(chosen_digest(app))
        app.button(key="clip_next").click().run()
    assert seen == {three.comparison.clips[row].digest for row in rows}
    before = chosen_digest(app)
    app.button(key="clip_previous").click().run()
    app.button(key="clip_next").click().run()
    assert chosen_digest(app) == before
    app.button(key="clip_any").click().run()
    assert chosen_digest(app) in seen - {before}


def test_a_filter_that_leaves_nothing_says_so_and_can_be_left(opened):
    app = opened(clip_name="no clip is called this")
    assert "No clip is like this" in text_of(app)
    app.text_input(key="clip_name").set_value("").run()
    assert player_on(app)
    assert "clip_name" not in app.query_params


def test_an_unknown_link_opens_some_clip(opened):
    app = opened(among="missed:9", truth="kind:no", compared_clip="nonsense", clip="../../etc")
    assert app.selectbox(key="among").value == "any"
    assert player_on(app)


@pytest.mark.parametrize("link", [{"hidden": "on"}, {"present": "on"}])
def test_nothing_tells_the_truth_until_it_is_revealed(opened, three, link):
    app = opened(clip_scores="on", **link)
    seen = {**gauges_on(app), "player": player_on(app)["title"], "list": app.selectbox(key="compared_clip").options}
    assert not TELLING.search(json.dumps(seen))
    assert seen["headline"]["truth"] == ""
    app.button(key="clip_reveal").click().run()
    clip = three.comparison.clips[order_of(three.comparison).row_of[chosen_digest(app)]]
    assert gauges_on(app)["headline"]["truth"].startswith(clip.label)
    assert {each["outcome"] for each in gauges_on(app)["rows"]} <= {"right", "wrong"}
    assert clip.label in player_on(app)["title"]
    app.button(key="clip_next").click().run()
    assert gauges_on(app)["headline"]["truth"] == ""


def test_scores_are_shown_when_asked_for(opened):
    assert not any(each["chips"] for each in gauges_on(opened())["rows"])
    app = opened(clip_scores="on")
    assert all(len(each["chips"]) == 2 for each in gauges_on(app)["rows"])


@pytest.mark.parametrize(
    ("link", "show"),
    [
        ({"view": "differ"}, "all"),
        ({"view": "where"}, "clip"),
        ({"view": "differ", "show": "clip"}, "clip"),
        ({}, "clip"),
    ],
)
def test_links_to_a_view_from_before_open_all_clips(opened, link, show):
    assert opened(**link).segmented_control(key="show").value == show


def test_imported_scores_have_a_gauge_and_no_map(opened, artifacts):
    app = opened()
    clips = artifacts["lstm_predictor"].scores.clips
    content = csv_text([("path", "anomaly_score"), *((clip.path, repr(clip.anomaly_score / 2)) for clip in clips)])
    app.file_uploader[0].upload(HOSTILE, content.encode(), "text/csv").run()
    assert not app.exception
    rows = gauges_on(app)["rows"]
    assert len(rows) == 4
    assert rows[3]["word"] == rows[1]["word"]
    assert len(player_on(app)["panels"]) == 4
    assert not any("javascript" in element.value for element in [*app.markdown, *app.caption])


def test_the_clip_can_be_checked_in_detail(opened):
    app = opened()
    digest = chosen_digest(app)
    next(each for each in app.button if each.label == "Check this clip in detail").click().run()
    assert app.session_state["example"] == digest[:12]
    assert not app.exception
