from ..search.beam_config import BeamConfig as BeamConfig
from .beam import BeamSearch as BeamSearch
from .beam import NBest as NBest
from .biasing import PhraseBias as PhraseBias
from .committing import CommittingSearch as CommittingSearch
from .greedy import Tokens as Tokens
from .greedy import greedy_search as greedy_search
from .ngram import NGram as NGram
