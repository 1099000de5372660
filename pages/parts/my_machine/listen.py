"""Step 5: the detectors judge a new clip, from a file or the microphone; then they watch a folder."""

from __future__ import annotations

import shlex

import streamlit as st

from asd_core.audio.sandbox import decode_upload
from asd_core.data.quotas import Upload
from asd_core.evaluation.operating import verdict
from asd_core.formats import counted, display_name
from asd_core.reports.plots import DETECTOR_SHORT_NAMES
from asd_core.types import Waveform
from pages.parts.my_machine.subject import Subject
from pages.parts.my_machine.ways import step_button
from pages.shared.cache import detector
from pages.shared.cards import DETECTOR_MARKS, calibration_marks
from pages.shared.choices import go, switch
from pages.shared.components.recorder import CLIP_S, last_take, recorder
from pages.shared.handed import HANDED, HandedClip
from pages.shared.plain_text import plain, shown_text, warning_text
from pages.shared.quota import count_checked, upload_types
from pages.shared.sources import of_one_channel
from pages.shared.verdicts import verdict_badge
from pages.shared.watch_form import watch_form

WAYS = {"file": "File", "microphone": "Microphone"}
RECORDER = "listen_recorder"
_HEARD = "listen_heard"


def listen_step(subject: Subject) -> None:
    """Judge a new clip, and say how to go on."""
    if not subject.active:
        st.info("This needs a trained detector.", icon=":material/info:")
        step_button("train", "Train one")
        return
    way = switch("Where does the new clip come from?", WAYS, key="listen_way")
    arrived = _file() if way == "file" else _recorded()
    if arrived is not None:
        _judge(subject, arrived)
    _watch(subject)


def _file() -> Upload | None:
    file = st.file_uploader("A new clip", type=upload_types(), key="listen_file")
    return None if file is None else Upload(file.name, file.getvalue())


def _recorded() -> Upload | None:
    """Record one clip; it stays, in this session alone, until the next one."""
    take = last_take(RECORDER)
    if take is not None:
        st.session_state[_HEARD] = (take.id, Upload("the clip from the microphone", take.wav))
    kept = st.session_state.get(_HEARD)
    recorder(
        wanted=1,
        start=f"Listen for {CLIP_S} s",
        ended="Heard.",
        taken="" if kept is None else kept[0],
        key=RECORDER,
    )
    return None if kept is None else kept[1]


def _judge(subject: Subject, arrived: Upload) -> None:
    """Say in one sentence what the detectors make of a clip, then which says what."""
    artifacts = of_one_channel(subject.active)
    channel = next(iter(artifacts.values())).channel
    count_checked(arrived)
    waveform = decode_upload(arrived.read(), name=arrived.name, channel=channel)
    words = {
        name: verdict(detector(artifact).anomaly_score(waveform), artifact.threshold.value)
        for name, artifact in artifacts.items()
    }
    st.markdown(f"### {verdict_sentence(words)}")
    st.text(display_name(arrived.name))
    for name, word in words.items():
        with st.container(horizontal=True, vertical_alignment="center"):
            mark = f"{DETECTOR_MARKS[name]} {DETECTOR_SHORT_NAMES[name]}"
            st.markdown(f"{mark} {verdict_badge(word or '')}", width="content")
            calibration_marks(artifacts[name].threshold, artifacts[name].manifest.calibration)
    _remarks(subject, waveform)
    clip = HandedClip(arrived.name, arrived.read())
    go("pages/check.py", "Check it in detail", icon=":material/hearing:", source="Upload", **{HANDED: clip})


def verdict_sentence(words: dict[str, str | None]) -> str:
    """Sum up verdicts: `3 of 3 detectors: normal`; those that cannot judge are named apart."""
    judged = [word for word in words.values() if word is not None]
    if not judged:
        return "Cannot judge: no detector has a threshold"
    n_anomalous = judged.count("anomalous")
    if n_anomalous == 0:
        return f"{len(judged)} of {counted(len(judged), 'detector')}: normal"
    return f"{n_anomalous} of {counted(len(judged), 'detector')}: anomalous"


def _remarks(subject: Subject, waveform: Waveform) -> None:
    """Say what is odd about the recording itself, beside the verdict."""
    remarks = [text for artifact in subject.active.values() for text in artifact.reading_warnings(waveform)]
    unlike = [text for artifact in subject.active.values() for text in artifact.unfamiliar(waveform)]
    for remark in dict.fromkeys(remarks):
        st.caption(f":material/info: {plain(warning_text(remark))}")
    for remark in dict.fromkeys(unlike):
        st.caption(f":material/info: Unlike anything in training: {plain(warning_text(remark))}")


def _watch(subject: Subject) -> None:
    """Say how to go on listening: the command that watches a folder."""
    with st.expander("Keep listening: watch a folder", icon=":material/sensors:"):
        st.markdown(
            "Let your recorder put its clips into a folder of this computer. A watch judges each one as it arrives and "
            "raises an alarm when several together are anomalous; it goes on when this page is closed, and Monitor "
            "shows it."
        )
        folders = {name: artifact.folder.parent for name, artifact in subject.active.items()}
        started = watch_form(folders, key="machine_watch", machine=subject.name)
        if started is not None:
            st.session_state.update(monitor="live", watch=started.name)
            st.switch_page("pages/monitor.py")
        st.caption("Or from the shell:")
        model = shown_text(str(next(iter(folders.values()))))
        st.code(f"python -m asd_core watch FOLDER --model {shlex.quote(model)}", language="shell", wrap_lines=True)
        go("pages/monitor.py", "To Monitor", icon=":material/monitor_heart:", monitor="live")
