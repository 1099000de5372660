# The public names with their types; `__init__.py` imports them when they are first used.

from asd_core.artifacts.store import Artifact as Artifact
from asd_core.artifacts.store import open_artifact as open_artifact
from asd_core.audio.reading import decode_waveform as decode_waveform
from asd_core.audio.reading import read_waveform as read_waveform
from asd_core.data.indexing import index_clips as index_clips
from asd_core.data.simulated.bench import write_bench as write_bench
from asd_core.detectors import DETECTOR_NAMES as DETECTOR_NAMES
from asd_core.detectors import detector_class as detector_class
from asd_core.detectors.contract import Detector as Detector
from asd_core.errors import AsdError as AsdError
from asd_core.evaluation.thresholds import Threshold as Threshold
from asd_core.features.log_mel import log_mel as log_mel
from asd_core.tasks.array_detector import ArrayDetector as ArrayDetector
from asd_core.tasks.evaluate import evaluate as evaluate
from asd_core.tasks.recalibrate import recalibrate as recalibrate
from asd_core.tasks.score import score_clips as score_clips
from asd_core.tasks.set_threshold import set_threshold as set_threshold
from asd_core.tasks.train import TrainingRequest as TrainingRequest
from asd_core.tasks.train import train as train
from asd_core.types import AnomalyMap as AnomalyMap
from asd_core.types import Waveform as Waveform

__version__: str
