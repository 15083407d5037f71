import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.decoding.beam import BeamSearch
from int4_conformer.decoding.biasing import PhraseBias
from int4_conformer.decoding.committing import CommittingSearch
from int4_conformer.decoding.ngram import NGram
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.search.table_scorers import NGramScorer, PhraseScorer
from int4_conformer.search.time_synchronous import Prediction, TimeSynchronousSearch, commit
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.vocabulary import Vocabulary
from tests.decoding.networks import LENGTHS, Network
from tests.decoding.test_ngram import random_tables, write
from tests.support.examples import examples, heavy

LETTERS = Graphemes(charset=" abc")


class NumpyNetwork:
    """A `Network` of the tests of decoding, as this search asks it."""

    def __init__(self, network, rows=6):
        self.network, self.rows = network, rows
        self.asked = 0

    def predict(self, labels, before):
        tables = self.network.table
        states = [0 if b is None else b.state["before"] for b in before]
        return [
            Prediction(output=tables[0][state] + tables[1][label], state={"before": label})
            for state, label in zip(states, labels, strict=True)
        ]

    def logits(self, frames, outputs):
        self.asked += len(frames)
        return np.tanh(frames + outputs) @ self.network.output + self.network.bias


def both(network, config, symbols, bias=(None, None), lm=(None, None)):
    """The search in a graph, and that in NumPy."""
    in_graph = BeamSearch(
        predict=network.predict,
        logits=network.logits,
        max_symbols_per_frame=symbols,
        config=config,
        bias=bias[0],
        lm=lm[0],
    )
    return in_graph, TimeSynchronousSearch(
        network=NumpyNetwork(network),
        max_symbols_per_frame=symbols,
        config=config,
        bias=bias[1],
        lm=lm[1],
    )


def assert_same(network, config, symbols, **asked):
    in_graph, search = both(network, config, symbols, **asked)
    start = in_graph.start(len(LENGTHS), lambda rows: network.start(rows)[1])
    expected = in_graph.best(*in_graph(network.frames, LENGTHS, start))
    for row, length in enumerate(LENGTHS):
        frames = network.frames[row, :length]
        found = search.finish(search.advance(frames, search.start()))
        alive = np.isfinite(expected.scores[row])
        assert len(found) == alive.sum()
        for place, hypothesis in enumerate(found):
            count = int(expected.count[row, place])
            assert [t.id for t in hypothesis.tokens] == expected.ids[
                row, place, :count
            ].numpy().tolist()
            frames = expected.frames[row, place, :count].numpy().tolist()
            assert [t.frame for t in hypothesis.tokens] == frames
            assert hypothesis.score == pytest.approx(float(expected.scores[row, place]), abs=1e-3)
            assert hypothesis.log_prob == pytest.approx(
                float(expected.model_scores[row, place]), abs=1e-3
            )
            np.testing.assert_allclose(
                [t.log_prob for t in hypothesis.tokens],
                expected.log_probs[row, place, :count],
                atol=1e-3,
            )


@settings(deadline=None, max_examples=examples(4))
@given(
    st.integers(0, 1000),
    st.sampled_from([-1.0, 0.0, 2.0]),
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from([2.0, 12.0, math.inf]),
)
def test_it_finds_what_the_search_in_a_graph_finds(seed, blank_bias, beam_size, symbols, threshold):
    config = BeamConfig(beam_size=beam_size, n_best=beam_size, threshold=threshold)
    assert_same(Network(seed, blank_bias), config, symbols)


@pytest.mark.parametrize("seed", [0, *heavy(1, 2, 3)])
def test_phrases_and_language_models_count_the_same(tmp_path, seed):
    phrases = ["cab", "a bac", "bb"]
    bias = tuple(kind.of(phrases, LETTERS, 1.5) for kind in (PhraseBias, PhraseScorer))
    file = write(tmp_path / "lm.arpa", random_tables(seed, 3, unknown=seed % 2 == 0))
    vocabulary = Vocabulary(pieces=("<blank>", "▁", "a", "b", "c"))
    lm = tuple(kind.read(file, vocabulary) for kind in (NGram, NGramScorer))
    config = BeamConfig(beam_size=5, n_best=5, lm_weight=0.6, insertion_bonus=0.4)
    network = Network(seed, 1.0)
    assert_same(network, config, 2, bias=bias)
    assert_same(network, config, 2, lm=lm)
    assert_same(network, config, 2, bias=bias, lm=lm)


@pytest.mark.parametrize("room", [1, 64, *heavy(2)])
@pytest.mark.parametrize("seed", [0, *heavy(1, 2)])
def test_segments_commit_as_in_a_graph(seed, room):
    network = Network(seed, 0.5)
    config = BeamConfig(beam_size=4)
    in_graph, search = both(network, config, 2)
    committing = CommittingSearch(search=in_graph, room=room)
    for row in (0, 3):
        start = in_graph.start(1, lambda rows: network.start(rows)[1])
        waiting, beam, first = committing.start(start), search.start(), 0
        for size in (2, 1, 4):
            segment = network.frames[row : row + 1, first : first + size]
            tokens, waiting = committing(segment, None, waiting)
            found, beam = commit(search.advance(segment[0], beam, first), room)
            first += size
            count = int(tokens.count[0])
            assert [t.id for t in found] == tokens.ids[0, :count].numpy().tolist()
            assert [t.frame for t in found] == tokens.frames[0, :count].numpy().tolist()
        rest = committing.finish(waiting)
        found = search.finish(beam)[0].tokens
        assert [t.id for t in found] == rest.ids[0, : int(rest.count[0])].numpy().tolist()


def test_a_frame_that_is_asked_about_in_advance_is_not_asked_about_again():
    network = Network(0, blank_bias=50.0)
    in_numpy = NumpyNetwork(network, rows=4)
    search = TimeSynchronousSearch(
        network=in_numpy, max_symbols_per_frame=2, config=BeamConfig(beam_size=1)
    )
    search.advance(network.frames[0], search.start())
    assert in_numpy.asked == len(network.frames[0])
