from .sensitivity import Probe as Probe
from .suggestion import Suggestion as Suggestion
from .suggestion import suggest as suggest
