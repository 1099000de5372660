"""Re-baseline: what changes is shown before it does, a fault among the normals shows, and it can be undone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import watched
from watched import said

from asd_core.artifacts.store import locked, open_artifact, republish
from asd_core.artifacts.versions import READ_ONLY_MARK, save_threshold
from asd_core.errors import AudioError, StaleVersionError, UsageError
from asd_core.evaluation.thresholds import Threshold, default_threshold, from_normal_scores
from asd_core.features.cache import read_clip
from asd_core.monitoring.alarms import AlarmRule, write_rule
from asd_core.monitoring.beside import Beside
from asd_core.monitoring.cusum import CusumRule
from asd_core.monitoring.notes import FAULT, NORMAL
from asd_core.monitoring.rebaselining import change as figuring
from asd_core.monitoring.rebaselining import doubts as doubting
from asd_core.monitoring.rebaselining.change import (
    RETRAIN,
    Share,
    View,
    new_threshold,
    recalibration,
    rescore_week,
    retraining,
    score_marked,
    units_of,
)
from asd_core.monitoring.rebaselining.doubts import doubts_of, shape_db
from asd_core.monitoring.rebaselining.quarantine import (
    MarkedClip,
    faults,
    follow_notes,
    learned,
    marked_clips,
    row_sound,
    sound_path,
    waiting,
)
from asd_core.monitoring.rebaselining.recent import (
    MAX_RESCORED,
    Week,
    episodes,
    read_newest,
    rows_to_rescore,
    rule_of,
    same_model,
    week_of,
)
from asd_core.monitoring.rebaselining.versions import (
    activate_recalibration,
    activate_retraining,
    kept_scores,
    last_active,
    rebaselines,
    retrained,
    retraining_request,
    stage_retraining,
    staged_sounds,
    undo,
    version_in_use,
)
from asd_core.tasks.added import added_clips, round_of
from asd_core.tasks.outdated import changes_since
from asd_core.tasks.train import train

RULE = AlarmRule()
KINDS = ["normal"] * 10 + ["new"] * 12 + ["new"] * 12 + ["fault"] * 6 + ["new"] * 6
ALL = ("new", "normal", "fault")


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    """A watch of a machine that changed after ten clips; six faults came later."""
    root = tmp_path_factory.mktemp("rebaseline")
    data = watched.made_data(root / "pump")
    model = watched.trained(data, root / "out")
    rows = watched.watched(root / "in", root / "watch.csv", model, KINDS, gap_after=21)
    return data, model, root / "watch.csv", rows


@pytest.fixture
def copy(watch, tmp_path):
    """The same, with a table and a detector of its own."""
    data, model, table, _ = watch
    shutil.copytree(model.parents[2], tmp_path / "out")
    shutil.copy(table, tmp_path / "watch.csv")
    return data, tmp_path / "out" / model.relative_to(model.parents[2]), Beside(tmp_path / "watch.csv")


def named(rows, kind, first, last):
    return [row for row in rows if kind in row.path][first:last]


def looked_at(model, beside, normal, fault=()):
    """Follow the notes, and return what is needed to work a re-baseline out."""
    artifact = open_artifact(model)
    rows, _ = read_newest(beside.table)
    notes = said(normal, NORMAL, *ALL) | said(fault, FAULT, *ALL)
    assert not follow_notes(beside, rows, notes, channel=None).missing
    clips = marked_clips(beside)
    scores = score_marked(artifact.detector(), beside, clips)
    week = week_of(rows)
    view = View.of(artifact, scores, same_model(week.rows, artifact, base=Path()))
    return artifact, view, clips, week


def recalibrated(model, beside, normal, fault=()):
    artifact, view, clips, week = looked_at(model, beside, normal, fault)
    taken = waiting(clips)
    added = kept_scores(beside, taken, [view.marked[clip.sound] for clip in taken], machine_id="00")
    return artifact, recalibration(artifact, view, taken, faults(clips), week, added=added, rule=RULE)


def test_a_changed_machine_marked_normal_ends_its_false_alarms_and_keeps_its_faults(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    artifact, change = recalibrated(model, beside, named(rows, "new", 0, 24), named(rows, "fault", 0, 6))
    assert change.before.threshold == artifact.threshold.value
    assert change.before.marked_normal == Share(24, 24)
    assert change.after.marked_normal.n < 12
    assert (change.before.test_faults, change.after.test_faults) == (Share(20, 20), Share(20, 20))
    assert (change.before.marked_faults, change.after.marked_faults) == (Share(6, 6), Share(6, 6))
    assert change.after.heldout.n == 0 < change.before.heldout.n
    assert change.before.heldout.of == 60
    assert change.after.week.n < change.before.week.n
    assert change.before.week.of == change.after.week.of == len(KINDS)
    assert len(change.flips) == change.before.week.n - change.after.week.n
    assert {flip.after for flip in change.flips} == {"normal"}
    assert not change.loses_faults
    assert change.warnings == ()
    assert [episode.raised_at.key for episode in change.before.alarms] == [row.key for row in rows if row.event]
    assert change.before.alarms[0].n_clips == sum(row.alarm for row in rows)
    assert change.after.alarms[0].raised_at.key != change.before.alarms[0].raised_at.key


def test_nothing_trains_or_calibrates_before_somebody_says_so(copy):
    _, model, beside = copy
    before = open_artifact(model)
    rows, _ = read_newest(beside.table)
    recalibrated(model, beside, named(rows, "new", 0, 24))
    assert open_artifact(model) == before
    assert rebaselines(beside) == []


def test_faults_among_the_normals_show_in_the_figures_and_are_named(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    slipped = named(rows, "fault", 0, 3)
    _, change = recalibrated(model, beside, [*named(rows, "new", 0, 12), *slipped], named(rows, "fault", 3, 6))
    assert change.loses_faults
    assert change.after.n_faults_found < change.before.n_faults_found
    (warning,) = [text for text in change.warnings if text.startswith("faults_lost")]
    lost = change.before.n_faults_found - change.after.n_faults_found
    assert f"{lost} fault" in warning
    assert "would be missed" in warning
    assert "or this detector cannot tell the new sound from faults" in warning
    worst = max(slipped, key=lambda row: row.anomaly_score)
    assert f"Listen first to {Path(worst.path).name}" in warning


def test_what_speaks_against_a_clip_is_listed_with_it(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    normal, fault = named(rows, "new", 0, 12), named(rows, "fault", 0, 2)
    artifact, view, clips, _ = looked_at(model, beside, [*normal, fault[0]], [fault[1]])
    taken = waiting(clips)

    def shape(path):
        return shape_db(read_clip(path))

    found = doubts_of(
        taken,
        [view.marked[clip.sound] for clip in taken],
        heldout_scores=artifact.scores.of("heldout").anomaly_scores,
        shapes=[shape(sound_path(beside, clip)) for clip in taken],
        normal_shapes=[shape(row.path) for row in named(rows, "normal", 0, 10)],
        fault_shapes={},
        marked_fault_shapes={"knocks.wav": shape(fault[1].path)},
    )
    codes = {clip.name: [doubt.code for doubt in own] for clip, own in zip(taken, found, strict=True)}
    own = codes[Path(fault[0].path).name]
    assert own == [doubting.LIKE_FAULT, doubting.UNLIKE_OTHERS, doubting.HIGHEST, doubting.IN_ALARM]
    assert "(knocks.wav)" in next(doubts[0].text for doubts in found if doubts[0].code == doubting.LIKE_FAULT)
    assert "1 in 61 normal clips" in next(text.text for doubts in found for text in doubts if text.code == "highest")
    others = [each for name, each in codes.items() if "new" in name]
    assert all(doubting.UNLIKE_OTHERS not in each and doubting.HIGHEST in each for each in others)
    assert all(doubting.LIKE_FAULT not in each for each in others)
    first = Path(normal[0].path).name
    assert doubting.IN_ALARM not in codes[first]


def test_a_changed_machines_clips_are_no_faults_for_having_changed():
    rng = np.random.default_rng(0)
    fault, change = np.zeros(32), np.zeros(32)
    fault[20:] = 6.0
    change[16:] = 8.0  # nearer to the fault than to the old normal sound

    def like(shape, n):
        return [shape + rng.normal(0, 0.5, 32) for _ in range(n)]

    clips = [
        MarkedClip(f"{i:064x}", NORMAL, (), (), f"{i}.wav", "2026-01-31T12:00:00", "", "m", 1.0, False)
        for i in range(9)
    ]
    found = doubts_of(
        clips,
        [0.0] * 9,
        heldout_scores=np.array([1.0]),
        shapes=[*like(change, 8), *like(change + fault, 1)],
        normal_shapes=like(np.zeros(32), 10),
        fault_shapes={"old.wav": fault},
        marked_fault_shapes={"new.wav": change + fault},
    )
    assert [[doubt.code for doubt in own] for own in found[:8]] == [[]] * 8
    assert [doubt.code for doubt in found[8]] == [doubting.LIKE_FAULT, doubting.UNLIKE_OTHERS]


def test_false_alarms_after_are_counted_without_the_clips_own_sitting(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    artifact, view, clips, week = looked_at(model, beside, named(rows, "new", 0, 24))
    taken = waiting(clips)
    first = [10.0 + 0.1 * number for number in range(12)]
    scores = [*first, *(score + 100 for score in first)]  # the second sitting scores higher than the first
    view = replace(view, marked={clip.sound: score for clip, score in zip(taken, scores, strict=True)})
    added = kept_scores(beside, taken, scores, machine_id="00")
    change = recalibration(artifact, view, taken, [], week, added=added, rule=RULE)
    assert change.after.marked_normal == Share(12, 24)
    assert change.threshold.value > 110


def test_a_clip_like_any_normal_one_raises_no_doubt(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    artifact, view, clips, _ = looked_at(model, beside, named(rows, "normal", 0, 1))
    (clip,) = clips
    doubts = doubts_of(
        clips,
        [view.marked[clip.sound]],
        heldout_scores=artifact.scores.of("heldout").anomaly_scores,
        shapes=[shape_db(read_clip(sound_path(beside, clip)))],
        normal_shapes=[],
        fault_shapes={"fault": np.zeros(32)},
        marked_fault_shapes={},
    )
    assert doubts == [()]


def test_each_large_group_gets_the_rule_and_the_highest_counts():
    rng = np.random.default_rng(0)
    old, new, few = rng.normal(0, 1, 100), rng.normal(10, 1, 30), rng.normal(20, 1, 5)
    present = default_threshold(old, machine_ids=["00"] * 100)
    by_new = from_normal_scores("conformal", new, rule_value=0.1).value
    found = new_threshold(present, [old, new], keeps_promises=True)
    assert found.value == by_new
    assert found.value > from_normal_scores("conformal", np.concatenate([old, new]), rule_value=0.1).value
    assert (found.rule, found.rule_value, found.promised_fpr) == ("conformal", 0.1, 0.1)
    assert (found.n_calibration, found.per_id) == (130, {"00": by_new})
    pooled = new_threshold(present, [old, few], keeps_promises=True)
    assert pooled.value == from_normal_scores("conformal", np.concatenate([old, few]), rule_value=0.1).value
    assert new_threshold(present, [old, new - 20], keeps_promises=True).value == present.value
    assert new_threshold(present, [old, new], keeps_promises=False).promised_fpr is None


def test_the_same_rule_is_kept_and_a_threshold_by_hand_gives_way():
    rng = np.random.default_rng(0)
    old, new = rng.normal(0, 1, 100), rng.normal(10, 1, 30)
    at_five = from_normal_scores("conformal", old, rule_value=0.05)
    found = new_threshold(at_five, [old, new], keeps_promises=True)
    assert (found.rule_value, found.promised_fpr) == (0.05, 0.05)
    assert found.value == from_normal_scores("conformal", new, rule_value=0.05).value
    by_hand = Threshold(3.0, "manual", False, None, 0, rule_value=3.0, per_id={"00": 1.0, "02": 2.0})
    found = new_threshold(by_hand, [old, new], keeps_promises=True)
    assert (found.rule, found.per_id) == ("conformal", by_hand.per_id)
    gamma = from_normal_scores("gamma", old, rule_value=0.9)
    assert new_threshold(gamma, [old, new], keeps_promises=True).rule == "gamma"


def test_a_new_clip_is_judged_without_its_own_sitting():
    def clip(minute, score):
        return MarkedClip(
            f"{minute:064x}", NORMAL, (), (), "p", f"2026-01-31T12:{minute:02d}:00", "", "m", score, False
        )

    one_go = [clip(minute, 1.0) for minute in range(12)]
    assert units_of(one_go).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert units_of([clip(0, 1.0), clip(30, 1.0), clip(31, 1.0)]).tolist() == [0, 1, 1]


def test_clips_of_one_go_promise_nothing_and_few_decide_nothing(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    _, change = recalibrated(model, beside, named(rows, "new", 0, 12), named(rows, "fault", 0, 6))
    assert [text.partition(":")[0] for text in change.warnings] == ["one_sitting"]
    assert change.threshold.promised_fpr is None
    _, few = recalibrated(model, beside, named(rows, "new", 0, 11), named(rows, "fault", 0, 6))
    assert len(few.clips) == 11
    assert [text.partition(":")[0] for text in few.warnings] == ["one_sitting", "few"]
    assert few.threshold.value < change.threshold.value


def test_without_any_fault_it_says_that_nothing_is_known_of_them(copy):
    _, model, beside = copy
    artifact = open_artifact(model)
    bare = [clip for clip in artifact.scores.clips if clip.label != "anomalous"]
    with locked(model):
        republish(model, artifact, manifest=artifact.manifest, scores=bare)
    rows, _ = read_newest(beside.table)
    _, change = recalibrated(model, beside, named(rows, "new", 0, 4))
    assert {text.partition(":")[0] for text in change.warnings} == {"no_faults", "one_sitting", "few"}
    assert "from 12 on they decide for themselves" in "".join(change.warnings)
    assert change.before.test_faults.text == "– (0 clips)"


def test_an_active_one_is_a_version_and_undoing_it_brings_the_quarantine_back(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    artifact, change = recalibrated(model, beside, named(rows, "new", 0, 24), named(rows, "fault", 0, 6))
    made = activate_recalibration(artifact, change, beside)
    now = open_artifact(model)
    assert (made.version, made.version_before) == (now.version, artifact.version)
    assert now.threshold == change.threshold
    assert now.manifest.parent == artifact.version
    assert now.manifest.threshold_reason.startswith("re-baseline: threshold moved with 24 clips marked normal")
    assert now.manifest.files["state.safetensors"] == artifact.manifest.files["state.safetensors"]
    heldout = now.scores.of("heldout")
    assert len(heldout.clips) == 84 == now.manifest.calibration.n
    assert now.manifest.calibration.max == heldout.anomaly_scores.max()
    assert now.manifest.calibration.n_recordings == artifact.manifest.calibration.n_recordings + 2
    assert {round_of(clip.path) for clip in heldout.clips} == {"", "r001"}
    assert all(now.was_trained_on(digest) for clip in change.clips for digest in clip.digests)
    assert waiting(marked_clips(beside)) == []
    assert len(learned(marked_clips(beside))) == 24
    assert last_active(beside) == made
    assert version_in_use(beside, artifact.folder).version == now.version
    undone = undo(beside)
    assert open_artifact(model).version == artifact.version
    assert len(waiting(marked_clips(beside))) == 24
    assert (last_active(beside), undone.undone_at != "") == (None, True)
    with pytest.raises(UsageError, match="no re-baseline"):
        undo(beside)


def test_a_second_one_stands_on_the_first(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    new = named(rows, "new", 0, 30)
    artifact, change = recalibrated(model, beside, new[:24])
    activate_recalibration(artifact, change, beside)
    artifact, again = recalibrated(model, beside, new)
    assert len(again.clips) == 6
    assert again.threshold.value >= min(change.threshold.value, again.threshold.value)
    view = View.of(artifact, {}, [])
    assert [len(group) for group in view.groups()] == [60, 24]
    made = activate_recalibration(artifact, again, beside)
    assert made.name == "r002"
    assert [len(group) for group in View.of(open_artifact(model), {}, []).groups()] == [60, 24, 6]
    assert undo(beside).name == "r002"
    assert last_active(beside).name == "r001"


def test_a_version_that_came_in_between_is_not_overrun(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    artifact, change = recalibrated(model, beside, named(rows, "new", 0, 24))
    save_threshold(artifact, replace(artifact.threshold, value=1.0), folder=model)
    with pytest.raises(StaleVersionError, match="which this re-baseline was worked out from"):
        activate_recalibration(artifact, change, beside)
    assert waiting(marked_clips(beside)) != []
    now = open_artifact(model)
    made = activate_recalibration(now, change, beside)
    save_threshold(open_artifact(model), replace(artifact.threshold, value=2.0), folder=model)
    with pytest.raises(StaleVersionError, match=f"since the re-baseline made {made.version}"):
        undo(beside)


def test_what_came_with_the_project_stays_and_gets_a_neighbour(copy):
    _, model, beside = copy
    (model.parents[1] / READ_ONLY_MARK).touch()
    rows, _ = read_newest(beside.table)
    artifact, change = recalibrated(model, beside, named(rows, "new", 0, 24))
    made = activate_recalibration(artifact, change, beside)
    assert made.folder.parents[1].name == f"{model.parents[1].name}-own"
    assert open_artifact(model).version == artifact.version
    assert open_artifact(made.folder).threshold == change.threshold
    assert version_in_use(beside, artifact.folder).folder.parent == made.folder
    undo(beside)
    assert open_artifact(made.folder).threshold == artifact.threshold
    assert version_in_use(beside, artifact.folder).version == artifact.version


def test_no_clips_or_no_threshold_are_refused(copy):
    _, model, beside = copy
    artifact, view, clips, week = looked_at(model, beside, [])
    with pytest.raises(UsageError, match="at least one clip"):
        recalibration(artifact, view, clips, [], week, added=[], rule=RULE)
    rows, _ = read_newest(beside.table)
    artifact, view, clips, week = looked_at(model, beside, named(rows, "new", 0, 2))
    bare = replace(
        artifact, manifest=replace(artifact.manifest, threshold=Threshold(None, "conformal", False, None, 0))
    )
    with pytest.raises(UsageError, match="no threshold to compare with"):
        recalibration(bare, view, clips, [], week, added=[], rule=RULE)


def retrain(data, model, beside, normal, fault=()):
    artifact, view, clips, week = looked_at(model, beside, normal, fault)
    taken = waiting(clips)
    added = stage_retraining(beside, taken, channel=None)
    request = retraining_request(beside, artifact, data, added, machine=None)
    train(request)
    candidate = retrained(beside)
    detector = candidate.detector()
    scores = rescore_week(detector, week, lambda row: row_sound(beside, row, channel=None, roots=None))
    after = View.of(candidate, score_marked(detector, beside, faults(clips)), scores)
    return artifact, candidate, retraining(artifact, view, after, taken, faults(clips), week, rule=RULE)


def test_trained_again_it_knows_the_new_sound_and_still_finds_faults(copy):
    data, model, beside = copy
    rows, _ = read_newest(beside.table)
    new = named(rows, "new", 0, 24)
    artifact, candidate, change = retrain(data, model, beside, new, named(rows, "fault", 0, 6))
    assert open_artifact(model).version == artifact.version
    assert change.how == RETRAIN
    assert staged_sounds(beside) == {clip.sound[:32] for clip in change.clips}
    assert len(candidate.manifest.data.fitted_digests) == 84
    assert len(candidate.manifest.data.added_digests) == 24
    assert candidate.manifest.data.ids == artifact.manifest.data.ids
    assert len(change.added) == 24
    assert change.before.marked_normal == Share(24, 24)
    assert change.after.marked_normal.n < 8
    assert change.after.test_faults == Share(20, 20)
    assert change.after.marked_faults == Share(6, 6)
    assert change.after.heldout.of == 60
    assert len(change.after.alarms) == 1
    assert "fault" in change.after.alarms[0].raised_at.path
    made = activate_retraining(artifact, candidate, change, beside)
    now = open_artifact(model)
    assert (now.version, now.threshold) == (made.version, change.threshold)
    assert now.manifest.parent is None
    assert "trained again with 24 clips" in now.manifest.threshold_reason
    assert now.detector().anomaly_score(read_clip(new[0].path)) < change.threshold.value
    there = dict.fromkeys(artifact.manifest.data.fitted_digests, "normal")
    assert changes_since(now, there) == changes_since(artifact, there)
    undo(beside)
    assert open_artifact(model).version == artifact.version


@pytest.mark.slow
def test_trained_on_faults_it_misses_them_and_says_so(copy):
    data, model, beside = copy
    rows, _ = read_newest(beside.table)
    slipped = named(rows, "fault", 0, 3)
    _, _, change = retrain(data, model, beside, [*named(rows, "new", 0, 12), *slipped], named(rows, "fault", 3, 6))
    assert change.loses_faults
    (warning,) = [text for text in change.warnings if text.startswith("faults_lost")]
    assert "fault" in warning.partition("Listen first to ")[2].partition(",")[0]
    assert "cannot tell" not in warning


def test_clips_learned_before_are_trained_on_again(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    artifact, change = recalibrated(model, beside, named(rows, "new", 0, 12))
    activate_recalibration(artifact, change, beside)
    looked_at(model, beside, named(rows, "new", 0, 20))
    folder = stage_retraining(beside, waiting(marked_clips(beside)), channel=2)
    clips = added_clips(folder, beside=[_clip_of("a", None)])
    assert sorted({round_of(clip.relative) for clip in clips}) == ["r001", "r002"]
    assert len(clips) == 20
    assert len(staged_sounds(beside)) == 8
    assert {clip.recording for clip in clips} == {None}
    assert {clip.recording for clip in added_clips(folder, beside=[_clip_of("a", "day1")])} == {
        "rebaseline/r001/000",
        "rebaseline/r002/000",
    }
    third = read_clip(clips[-1].path, channel=2)
    assert third.n_samples == 16000
    with pytest.raises(UsageError, match="holds no clips"):
        added_clips(beside.clips, beside=[_clip_of("a", None)])


def _clip_of(relative, recording):
    from asd_core.data.clips import Clip

    return Clip(Path(relative), relative, "00", "train", "normal", recording=recording)


def test_the_week_is_the_seven_days_before_the_newest_clip(watch):
    _, _, table, rows = watch
    old = replace(rows[0], time="2026-01-20T00:00:00.000+00:00")
    refused = replace(rows[1], verdict="", status="refused")
    early = replace(rows[2], time="2026-01-31T11:00:00.000+00:00")
    again = replace(rows[3], replaces=early.key)
    assert week_of([old, refused, early, again]) == Week((again,))
    assert week_of([]) == Week(())
    read, is_cut = read_newest(table)
    assert (len(read), is_cut) == (len(rows), False)
    assert read_newest(table.with_name("none.csv")) == ([], False)


def test_a_long_table_is_read_from_its_end(watch, monkeypatch):
    from asd_core.monitoring.rebaselining import recent

    _, _, table, rows = watch
    monkeypatch.setattr(recent, "MAX_BYTES", 5000)
    read, is_cut = read_newest(table)
    assert is_cut
    assert 0 < len(read) < len(rows)
    assert read[-1].key == rows[-1].key
    assert week_of(read, is_cut=True).is_cut


def test_rows_of_another_detector_keep_what_was_said_of_them(copy):
    _, model, beside = copy
    rows, _ = read_newest(beside.table)
    artifact = open_artifact(model)
    other = [replace(row, model="gone") for row in rows[:2]]
    assert same_model([*other, rows[2]], artifact, base=model)[:2] == [None, None]
    assert same_model([rows[2]], artifact, base=Path()) == [rows[2].anomaly_score]


def test_alarms_are_replayed_by_the_watchs_own_rule(tmp_path, watch):
    _, _, _, rows = watch
    beside = Beside(tmp_path / "watch.csv")
    assert rule_of(beside) == AlarmRule()
    for rule in (AlarmRule(2, 7), CusumRule(12.0, 1.75)):
        write_rule(beside.rule, rule)
        assert rule_of(beside) == rule
    for damaged in (b"", b"[]", b'{"kind": "k_of_n", "k": 9, "n": 1}', b'{"kind": "cusum", "h": "x", "k": 1}', b"\xff"):
        beside.rule.write_bytes(damaged)
        assert rule_of(beside) == AlarmRule()
    verdicts = ["normal", "anomalous", "anomalous", "anomalous", "anomalous", "normal", "normal", "normal", "normal"]
    own = rows[: len(verdicts)]
    scores = [row.anomaly_score for row in own]
    (found,) = episodes(own, verdicts, scores, rule=AlarmRule(), reference=np.array([1.0]))
    assert (found.raised_at, found.n_clips) == (own[3], 5)
    assert episodes(own, ["normal"] * 9, [0.0] * 9, rule=CusumRule(2.0, 1.5), reference=np.arange(1.0, 100.0)) == []
    assert episodes(own, ["normal"] * 9, [200.0] * 9, rule=CusumRule(2.0, 1.5), reference=np.arange(1.0, 100.0))


def test_a_retrained_detector_scores_the_newest_clips_anew(watch, monkeypatch):
    _, _, _, rows = watch
    week = week_of(rows)
    assert rows_to_rescore(week) == list(range(len(rows)))
    assert len(rows) < MAX_RESCORED
    few = rows_to_rescore(week, at_most=10)
    assert len(few) == 10
    assert sum(rows[number].verdict == "anomalous" for number in few) == 5 == len([n for n in few if n >= 40])
    assert rows_to_rescore(Week(tuple(rows[40:])), at_most=4) == [2, 3, 4, 5]

    class Silent:
        def anomaly_score(self, sound):
            return sound

    def sound(row):
        if row is rows[1]:
            raise AudioError("open", "gone")
        return 1.5

    monkeypatch.setattr(figuring, "rows_to_rescore", lambda _: [1, 2])
    assert rescore_week(Silent(), week, sound)[:4] == [None, None, 1.5, None]


def test_shares_are_told_with_their_intervals():
    assert Share(1, 12).text == "8.3 % (1/12), 1.5 to 35.4 %"
    assert Share(0, 0).text == "– (0 clips)"
