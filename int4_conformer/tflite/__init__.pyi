from .inspection import Inspection as Inspection
from .inspection import inspect_tflite as inspect_tflite
from .metadata import Metadata as Metadata
from .verification import verify as verify
