"""Kill -9 at every step of saving a threshold and of writing a report: the old or the new one, nothing in the way."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest
from sounds import PROJECT, hum

from asd_core.audio.reading import encode_wav
from asd_core.reports import html as report
from asd_core.tasks.train import TrainingRequest, train

KILLED_AT = """
import io, json, os, random, signal, sys, time
from pathlib import Path

def dies_at(k, after):
    calls = []

    def counted(step):
        calls.append(step)
        return len(calls) == k

    def dying(real):
        def call(*arguments, **named):
            writes = real is not real_open or arguments[1] & (os.O_WRONLY | os.O_RDWR)
            now = counted(real) if writes else False
            if now and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*arguments, **named)
            finally:
                if now:
                    os.kill(os.getpid(), signal.SIGKILL)
        return call

    class Dying(io.FileIO):
        def write(self, content):
            if counted(self):
                super().write(content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return super().write(content)

    real_open, real_fdopen = os.open, os.fdopen
    for name in ("open", "fsync", "replace", "rename", "mkdir", "unlink", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
    os.fdopen = lambda descriptor, mode, **named: (
        io.BufferedWriter(Dying(descriptor, mode)) if "w" in mode else real_fdopen(descriptor, mode, **named)
    )

def killed(act, *, k=None, after=False, delay_s=None):
    '''Run in a child that dies at its k-th step, or after a while; whether it lived to its end.'''
    child = os.fork()
    if child == 0:
        if k is not None:
            dies_at(k, after)
        act()
        os._exit(0)
    if delay_s is not None:
        time.sleep(delay_s)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == 0

def points(act, check):
    '''Die at every step, before it and after it; how many steps there are.'''
    for after in (False, True):
        k = 1
        while not killed(act, k=k, after=after):
            check(after, k)
            k += 1
        check(after, k)
    return k - 1
"""
SAVING = """
from asd_core.artifacts.store import list_versions, open_artifact
from asd_core.evaluation.thresholds import Threshold
from asd_core.artifacts.versions import save_threshold
folder, rounds, wrong, seen = Path(sys.argv[1]), int(sys.argv[2]), [], {"old": 0, "new": 0}
now = 0.0

def save(value):
    save_threshold(open_artifact(folder), Threshold(value, "manual", False, None, 0), folder=folder)

def check(*step):
    global now
    opened = open_artifact(folder)
    opened.detector(), opened.scores
    value = opened.threshold.value
    if value not in (now, now + 1.0):
        wrong.append(f"{step}: {value} is neither {now} nor {now + 1.0}")
    seen["old" if value == now else "new"] += 1
    now += 2.0
    save(now)

save(now)
n_points = points(lambda: save(now + 1.0), check)
rng = random.Random(rounds)
for number in range(rounds):
    killed(lambda: save(now + 1.0), delay_s=rng.uniform(0.0, 0.03))
    check("random", number)
left = list(folder.glob(".tmp-*"))
for path in left:
    os.utime(path, (1e9, 1e9))
save(now + 2.0)
litter = list(folder.glob(".tmp-*"))
print(json.dumps({"wrong": wrong, "points": n_points, **seen, "left": len(left), "litter": len(litter)}))
"""
WRITING = """
from asd_core.system.files import replace_text
out, old, new, wrong, seen = Path(sys.argv[1]) / "report.html", "old" * 50_000, "new" * 60_000, [], {"old": 0, "new": 0}

def check(*step):
    content = out.read_text()
    if content not in (old, new):
        wrong.append(f"{step}: {len(content)} letters")
    seen["new" if content == new else "old"] += 1
    replace_text(out, old)

replace_text(out, old)
n_points = points(lambda: replace_text(out, new), check)
print(json.dumps({"wrong": wrong, "points": n_points, **seen}))
"""


def run(code, *arguments):
    command = [sys.executable, "-c", KILLED_AT + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A detector of a hum, and the clips it was trained on."""
    data = tmp_path_factory.mktemp("kills") / "pump"
    for seed in range(24):
        path = data / ("normal" if seed < 20 else "knocking") / f"{seed:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_wav(hum(seed, seconds=1.0, knocks=0 if seed < 20 else 5).samples))
    return train(TrainingRequest("vggish_ocsvm", data, out=data.parent / "out")).model, data


@pytest.mark.parametrize("rounds", [10, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.slow])])
def test_a_kill_at_any_step_of_saving_a_threshold_leaves_the_old_or_the_new_one(trained, rounds):
    outcome = run(SAVING, trained[0], rounds)
    assert outcome["wrong"] == []
    assert outcome["points"] >= 15  # a folder, four files and `current`, each made, written, synced and named
    assert outcome["old"] > 0
    assert outcome["new"] > 0
    assert outcome["left"] > 0
    assert outcome["litter"] == 0


def test_a_kill_at_any_step_of_writing_a_report_leaves_the_old_or_the_new_one(tmp_path):
    outcome = run(WRITING, tmp_path)
    assert outcome["wrong"] == []
    assert outcome["points"] >= 4
    assert outcome["old"] > 0
    assert outcome["new"] > 0


def test_a_report_that_cannot_be_written_whole_leaves_the_old_one(trained, tmp_path):
    model, data = trained
    out = tmp_path / "report.html"
    out.write_text("the report of last week")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            report.write_report([model], data, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert out.read_text() == "the report of last week"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
