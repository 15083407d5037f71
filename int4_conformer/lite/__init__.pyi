from .endpointing import EndpointConfig as EndpointConfig
from .recognizer import Recognizer as Recognizer
from .recognizer_stream import PartialResult as PartialResult
from .words import Recognition as Recognition
from .words import Word as Word
