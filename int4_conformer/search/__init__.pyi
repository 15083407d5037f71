from .beam_config import BeamConfig as BeamConfig
from .closed_list import ClosedList as ClosedList
from .grammar import Grammar as Grammar
from .grammar import Match as Match
from .table_scorers import NGramScorer as NGramScorer
from .table_scorers import PhraseScorer as PhraseScorer
from .time_synchronous import TimeSynchronousSearch as TimeSynchronousSearch
