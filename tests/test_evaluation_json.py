"""An evaluation's JSON holds the same keys in the same order, and the same figures, as when the golden file was made.

    PYTHONPATH=. python tests/test_evaluation_json.py

writes the file anew: needed only where the embedded detectors have been trained again.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asd_core.artifacts.store import open_artifact
from asd_core.data.clips import Clip
from asd_core.data.folders import Skipped
from asd_core.tasks import evaluate as module
from asd_core.tasks.assess import Assessment
from asd_core.tasks.evaluate import evaluate

PROJECT = Path(__file__).resolve().parents[1]
GOLDEN = PROJECT / "tests" / "golden" / "evaluation.json"
EMBEDDED = PROJECT / "artifacts" / "simulated-small" / "slider"
CLIPS = tuple(
    Clip(Path(name), name, "00", "test", label, rule=f"folder test/{label}")
    for name, label in (("a.wav", "normal"), ("b.wav", "normal"), ("c.wav", "anomalous"))
)
SKIPPED = Skipped.of([(".txt", "notes.txt"), ("hidden", ".cache")])
INDEX = SimpleNamespace(machine="slider", root=Path("nowhere"), skipped=SKIPPED, select=lambda **_: CLIPS)
DATA_SET = SimpleNamespace(simulated={}, index=INDEX)


def stored(model: Path, *_: object, **__: object) -> Assessment:
    """An assessment of the scores that are kept with a detector, so that no clip has to be there."""
    artifact = open_artifact(model)
    test, heldout = artifact.scores.of("test").labelled(), artifact.scores.of("heldout")
    refused = ({"path": "a.wav", "reason": "too_short: made up"},)
    warnings = ("lossy: made up",)
    return Assessment(
        artifact.title,
        artifact,
        DATA_SET,
        test,
        heldout,
        (),
        3,
        refused,
        warnings,
        artifact.threshold,  # type: ignore[arg-type]
    )


def evaluations() -> dict[str, Any]:
    """Evaluations that fill every key between them, as JSON values."""
    model = EMBEDDED / "vggish_ocsvm"
    turned = {clip.path: -clip.anomaly_score for clip in stored(model).scores.clips}
    found = {
        "saved threshold": evaluate(model, Path()),
        "per id": evaluate(model, Path(), rule="conformal", rule_value=0.2, per_id=True, normalise=True, seed=1),
        "uses test labels": evaluate(
            model, Path(), rule="cost", rule_value=5.0, others=[EMBEDDED / "vggish_knn"], imported=turned
        ),
    }
    values = {name: json.loads(json.dumps(each.to_json(), allow_nan=False)) for name, each in found.items()}
    for each in values.values():
        each["model"] = Path(each["model"]).name
        assert each["made_from"].pop("versions")
    return values


def rounded(value: Any) -> Any:
    """Figures to 12 digits: the last ones depend on the processor."""
    return f"{value:.12g}" if isinstance(value, float) else value


def as_text(values: Any) -> str:
    if isinstance(values, dict):
        return "{" + ",\n".join(f"{name}: {as_text(each)}" for name, each in values.items()) + "}"
    return f"[{', '.join(map(as_text, values))}]" if isinstance(values, list) else repr(rounded(values))


def test_an_evaluation_as_json_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "assess", stored)
    assert as_text(evaluations()) == as_text(json.loads(GOLDEN.read_text(encoding="utf-8")))


if __name__ == "__main__":
    module.assess = stored
    GOLDEN.write_text(json.dumps(evaluations(), indent=1) + "\n", encoding="utf-8")
