import collections
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.decoding.beam import BeamSearch
from int4_conformer.errors import UserError
from int4_conformer.search.beam_config import BeamConfig
from tests.decoding.networks import DIM, LENGTHS, TIME, Network
from tests.support.examples import examples, heavy

# Wide enough for all that a search without pruning can find.
EVERYTHING = BeamConfig(beam_size=200, n_best=200, threshold=math.inf)


def search_of(network, max_symbols_per_frame=3, **config):
    return BeamSearch(
        predict=network.predict,
        logits=network.logits,
        max_symbols_per_frame=max_symbols_per_frame,
        config=config.pop("config", None) or BeamConfig(**config),
    )


def started(search, network, batch):
    return search.start(batch, lambda rows: network.start(rows)[1])


def found(search, network, frames, lengths=None):
    """Of each utterance: labels -> (score, frames), the best first."""
    paths, beam = search(frames, lengths, started(search, network, len(frames)))
    return listed(paths, search.finish(beam))


def listed(paths, beam):
    """Of each utterance, its hypotheses: [(labels, score, frames)]."""
    ids, count, frames, log_probs, _ = (x.numpy() for x in paths)
    scores, alive = beam.score.numpy(), beam.is_alive.numpy()
    utterances = []
    for b in range(len(ids)):
        hypotheses = []
        for k in np.flatnonzero(alive[b]):
            n = count[b, k]
            assert not np.any(ids[b, k, n:])
            assert not np.any(log_probs[b, k, n:])
            hypotheses.append(
                (tuple(ids[b, k, :n].tolist()), scores[b, k], frames[b, k, :n].tolist())
            )
        assert len({labels for labels, *_ in hypotheses}) == len(hypotheses)
        assert [x[1] for x in hypotheses] == sorted((x[1] for x in hypotheses), reverse=True)
        utterances.append(hypotheses)
    return utterances


def brute_force(network, frames, max_symbols_per_frame):
    """The log-probability of each text, summed over all of its alignments, one by one."""
    totals = collections.defaultdict(list)

    def follow(t, emitted, labels, log_prob):
        if t == len(frames):
            totals[labels].append(log_prob)
            return
        log_probs = network.log_probs(frames[t], labels)
        follow(t + 1, 0, labels, log_prob + log_probs[0])
        if emitted < max_symbols_per_frame:
            for label in range(1, len(log_probs)):
                follow(t, emitted + 1, (*labels, label), log_prob + log_probs[label])

    follow(0, 0, (), 0.0)
    return {labels: np.logaddexp.reduce(values) for labels, values in totals.items()}


@pytest.mark.parametrize(
    ("vocab", "time", "max_symbols_per_frame"),
    [(3, 2, 2), (3, 3, 2), (2, 4, 3), (4, 3, 1), (3, 6, 1)],
)
def test_a_beam_without_pruning_finds_all_texts_with_all_their_alignments(
    vocab, time, max_symbols_per_frame
):
    for seed in range(examples(2)):
        network = Network(seed, blank_bias=seed / 2, vocab=vocab)
        frames = network.frames[:1, :time]
        expected = brute_force(network, frames[0], max_symbols_per_frame)
        (hypotheses,) = found(
            search_of(network, max_symbols_per_frame, config=EVERYTHING), network, frames
        )
        assert len(expected) <= 200
        assert {labels for labels, *_ in hypotheses} == set(expected)
        for labels, score, _ in hypotheses:
            assert score == pytest.approx(expected[labels], abs=1e-4)


@pytest.mark.parametrize("max_symbols_per_frame", [1, 2, 4])
def test_a_beam_of_one_is_greedy_search(max_symbols_per_frame):
    for seed in range(examples(3)):
        network = Network(seed, blank_bias=seed / 2)
        greedy = network.search(network.frames, LENGTHS, max_symbols_per_frame)
        search = search_of(network, max_symbols_per_frame, beam_size=1)
        paths, _ = search(network.frames, LENGTHS, started(search, network, len(LENGTHS)))
        for one, other in zip(greedy[:3], paths[:3], strict=True):
            np.testing.assert_array_equal(one, other[:, 0])
        np.testing.assert_allclose(greedy.log_probs, paths.log_probs[:, 0], atol=1e-5)


def alignment_log_prob(network, frames, max_symbols_per_frame):
    """Of greedy search's one alignment, and its labels."""
    tokens = network.reference(frames, max_symbols_per_frame)
    total, labels = 0.0, []
    for t, frame in enumerate(frames):
        for symbol in (symbol for symbol, time, _ in tokens if time == t):
            total += network.log_probs(frame, labels)[symbol]
            labels.append(symbol)
        total += network.log_probs(frame, labels)[0]
    return tuple(labels), total


@settings(deadline=None, max_examples=examples(5))
@given(
    st.integers(0, 10_000),
    st.floats(-2, 4),
    st.integers(2, 6),
    st.integers(1, 3),
    st.sampled_from([0.01, 1.0, 10.0]),
)
def test_no_beam_is_below_greedy_search(
    seed, blank_bias, beam_size, max_symbols_per_frame, threshold
):
    network = Network(seed, blank_bias)
    labels, log_prob = alignment_log_prob(network, network.frames[0], max_symbols_per_frame)
    search = search_of(network, max_symbols_per_frame, beam_size=beam_size, threshold=threshold)
    (hypotheses,) = found(search, network, network.frames[:1])
    assert hypotheses[0][1] >= log_prob - 1e-4
    assert any(other == labels and score >= log_prob - 1e-4 for other, score, _ in hypotheses)


def test_scores_are_of_alignments_that_there_are():
    for seed in range(examples(3)):
        network = Network(seed, blank_bias=1.0, vocab=3)
        frames = network.frames[:1, :4]
        exact = brute_force(network, frames[0], 2)
        (hypotheses,) = found(search_of(network, 2, beam_size=4), network, frames)
        for labels, score, times in hypotheses:
            assert score <= exact[labels] + 1e-4
            assert times == sorted(times)
        # The best of all is rarely missed by a beam of four.
        assert hypotheses[0][1] >= max(exact.values()) - 1.0


def test_a_batch_finds_what_its_rows_find():
    network = Network(1)
    search = search_of(network, beam_size=4)
    together = found(search, network, network.frames, LENGTHS)
    for row, length, hypotheses in zip(network.frames, LENGTHS, together, strict=True):
        if not length:
            assert hypotheses == [((), 0.0, [])]
            continue
        (alone,) = found(search, network, row[None, :length])
        assert [(x[0], x[2]) for x in alone] == [(x[0], x[2]) for x in hypotheses]
        np.testing.assert_allclose([x[1] for x in alone], [x[1] for x in hypotheses], atol=1e-4)


@pytest.mark.parametrize("size", [3, *heavy(1, 8)])
def test_segments_of_a_stream_have_the_hypotheses_of_the_whole(size):
    rng = np.random.default_rng(size)
    frames = rng.standard_normal([len(LENGTHS), 20, DIM]).astype(np.float32)
    lengths = np.int32([20, 13, 0, 8])
    network = Network(4, blank_bias=0.5)
    search = search_of(network, beam_size=5)
    whole = found(search, network, frames, lengths)
    beam = started(search, network, len(LENGTHS))
    texts = [[()] * 5 for _ in LENGTHS]
    for first in range(0, 20, size):
        segment = frames[:, first : first + size]
        left = np.clip(lengths - first, 0, segment.shape[1]).astype(np.int32)
        paths, beam = search(segment, left, beam)
        ids, count, _, _, origin = (x.numpy() for x in paths)
        texts = [
            [texts[b][origin[b, k]] + tuple(ids[b, k, : count[b, k]]) for k in range(5)]
            for b in range(len(LENGTHS))
        ]
    for b, hypotheses in enumerate(whole):
        alive = np.flatnonzero(beam.is_alive[b])
        assert [texts[b][k] for k in alive] == [labels for labels, *_ in hypotheses]
        np.testing.assert_allclose(
            beam.score.numpy()[b, alive], [score for _, score, _ in hypotheses], atol=1e-4
        )


@pytest.mark.parametrize(
    ("jit_compile", "shape"),
    [(True, [4, TIME]), (False, [None, None]), *heavy((False, [4, TIME]))],
    ids=["xla", "unknown", "graph"],
)
def test_in_a_graph_it_finds_the_same(jit_compile, shape):
    network = Network(3)
    search = search_of(network, beam_size=4)

    def run(frames, lengths):
        start = search.start(tf.shape(frames)[0], lambda rows: network.start(rows)[1])
        return search(frames, lengths, start)

    signature = [tf.TensorSpec([*shape, DIM]), tf.TensorSpec(shape[:1], tf.int32)]
    graph = tf.function(run, jit_compile=jit_compile, input_signature=signature, autograph=False)
    one = listed(*graph(network.frames, LENGTHS))
    other = listed(*run(network.frames, LENGTHS))
    for some, others in zip(one, other, strict=True):
        assert [(x[0], x[2]) for x in some] == [(x[0], x[2]) for x in others]
        np.testing.assert_allclose([x[1] for x in some], [x[1] for x in others], atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"beam_size": 0}, "`beam_size` must be at least 1. Received: beam_size=0"),
        ({"n_best": 0}, "`n_best` must be at least 1"),
        ({"beam_size": 4, "n_best": 5}, "no more hypotheses than it holds. Received: n_best=5"),
        ({"threshold": 0.0}, "`threshold` must be positive. Received: threshold=0"),
        ({"lm_weight": -1.0}, "`lm_weight` must not be negative. Received: lm_weight=-1"),
        ({"lm_weight": math.nan}, "`lm_weight` must be finite"),
        (
            {"insertion_bonus": math.inf},
            "`insertion_bonus` must be finite. Received: insertion_bonus=inf",
        ),
        ({"lm_candidates": 0}, "`lm_candidates` must be at least 1"),
    ],
)
def test_refused_configs(fields, message):
    with pytest.raises(UserError, match=message):
        BeamConfig(**fields)
