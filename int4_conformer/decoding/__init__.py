"""Search over transducer lattices."""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "BeamConfig": "config",
        "BeamSearch": "beam",
        "CommittingSearch": "committing",
        "NBest": "beam",
        "NGram": "ngram",
        "PhraseBias": "biasing",
        "Tokens": "greedy",
        "greedy_search": "greedy",
    },
)
