from .recognizer import Recognizer as Recognizer
from .words import Recognition as Recognition
from .words import Word as Word
