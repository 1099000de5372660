"""Names that somebody might give to a file, a folder, a machine or a fault in order to do harm, or by mistake."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import soundfile as sf
from sounds import hum

from asd_core.artifacts.store import publish
from asd_core.data.library import add_folder
from asd_core.evaluation.thresholds import Threshold
from asd_core.jobs import table as job_table
from asd_core.monitoring.arriving.arrivals import ArrivalSettings
from asd_core.monitoring.watch import WatchRequest, watch
from asd_core.tasks.train import TrainingRequest, train
from asd_core.types import SR

HOST = "evil.invalid"
NAMES = {
    "html": "<img src=x onerror=window.hit=1><script>window.hit=1<script>",
    "link": f"[l](javascript:window.hit=1) www.{HOST}",
    "image": f"![i](http:\\\\{HOST}\\i.png)",
    "quotes": "\"' onmouseover='window.hit=1' x=\"",
    "right to left": "\u202egnp.exe\u2066",
    "newline": "a\n# b\r\n- c",
    "formula": "=cmd|' C calc'!A0",
    "long": "long" * 30,
    "emoji": ":smile: 🔊 :material_home: :streamlit:",
    "not UTF-8": os.fsdecode(b"bad\xff\x80"),
    "upwards": "..\\..\\etc",
    "template": "{{7*7}} ${x} $\\frac{1}{2}$ :red[r] :material_home:",
}
"""Twelve; fit for folders of Linux, so that slashes are missing."""
SLASHED = {
    **NAMES,
    "image": f"![i](http://{HOST}/i.png) http://{HOST}/",
    "upwards": "../../etc/passwd\0",
    "emoji": ":smile: 🔊 :material/home: :streamlit:",
    "html": f"<img src=http://{HOST}/i.png onerror=window.hit=1></b><script>window.hit=1</script>",
}
"""The same as texts and as names of uploads."""
SIGNS = re.compile(
    rf"(?<!\\)<(?:img|script|/b)|(?<!\\)\]\((?:http|java)|://{HOST}|www\.{HOST}|:material_|:smile:|:streamlit:|:red\[|(?<!\\)\$\\frac"
)
"""What may stand nowhere in a text that is read as Markdown."""


def hostile_home(place: Path) -> Path:
    """Recordings with such names for ids, kinds and clips, and a detector trained on them; returns the artifacts.

    A second data set has such names for its folder and its machines, and copies of the detector are filed under such
    names of data set and machine. A watched folder, a failed training and its log bear them, too.

    The environment must allow folders below `place` and name `place / "artifacts"`.
    """
    root, names = place / "recordings" / "rail", list(NAMES.values())
    for number in range(24):
        _write(root / "normal" / names[number % 12] / f"{names[number // 2]}{number}.wav", number)
    for number, name in enumerate(names):
        _write(root / name / names[-1 - number] / f"{name}.wav", 100 + number, knocks=5)
    add_folder("rail", root)
    for number, name in enumerate(names):
        fleet = place / "recordings" / names[0] / name
        _write(fleet / "train" / "normal_id_00_00000000.wav", 200 + number)
        _write(fleet / "test" / "anomaly_id_00_00000000.wav", 300 + number, knocks=5)
    add_folder(names[0], place / "recordings" / names[0])
    asked = TrainingRequest("vggish_ocsvm", root, name="rail", preset="quick", out=place / "artifacts")
    artifact = train(asked).artifact
    reason = " ".join(SLASHED.values()).encode("ascii", "replace").decode()
    threshold = Threshold(None, "conformal", False, None, 0, reason=reason)
    title = SLASHED["html"] + SLASHED["image"]
    manifest = replace(artifact.manifest, title=title, threshold=threshold, warnings=(reason,))
    publish(artifact.folder.parent, manifest=manifest, state=artifact.detector().state, scores=artifact.scores.clips)
    for number, name in enumerate(names):
        shutil.copytree(artifact.folder.parents[1], place / "artifacts" / name / names[-1 - number])
    _watched(place, artifact.folder.parent, names)
    _failed_job(place, names)
    return place / "artifacts"


def _watched(place: Path, model: Path, names: list[str]) -> None:
    """Let a folder of clips with such names be watched, itself called so."""
    folder = place / "recordings" / names[1]
    for number, name in enumerate(names):
        _write(folder / f"{name}.wav", 400 + number, knocks=5)
    (folder / f"{names[0]}.wav").write_bytes(b"no sound" * 20)
    watch(WatchRequest(folder, model, once=True, poll_s=0.05, record=True, arrivals=ArrivalSettings(settle_s=0.0)))


def _failed_job(place: Path, names: list[str]) -> None:
    """File a training of such a data set that failed, and says so in such words."""
    request = TrainingRequest("lstm_predictor", place / "recordings" / names[0], machine=names[3], name=names[0])
    job_table.runs_dir().mkdir(parents=True, exist_ok=True)
    folder = job_table.make_run(request)
    words = " ".join(SLASHED.values())
    job_table.write_status(folder, job_table.Status("failed", error=words, warnings=(words,)))
    (folder / "log.txt").write_text(words, errors="surrogateescape")


def _write(path: Path, seed: int, *, knocks: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        sf.write(stream, hum(seed, seconds=2.0, knocks=knocks).samples, SR, format="WAV", subtype="PCM_16")
