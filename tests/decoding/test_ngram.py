import itertools
import math
import re

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.decoding.beam import BeamSearch
from int4_conformer.decoding.ngram import NGram
from int4_conformer.errors import UserError
from int4_conformer.search import ngram_tables
from int4_conformer.search.beam_config import BeamConfig
from int4_conformer.text.vocabulary import Vocabulary
from tests.decoding.networks import LENGTHS, Network

VOCABULARY = Vocabulary(pieces=("<blank>", "▁", "a", "b", "c"))
TOKENS = VOCABULARY.pieces[1:]


def random_tables(seed, order, share=0.5, unknown=True, left_out=()):
    """n-gram -> (log10 probability, log10 backoff), as in an ARPA file."""
    rng = np.random.default_rng(seed)
    words = ["<s>", "</s>", *(["<unk>"] if unknown else []), *TOKENS]
    tables = {(w,): (rng.uniform(-2, -0.2), rng.uniform(-1, 0)) for w in words if w not in left_out}
    tables["<s>",] = (-99.0, rng.uniform(-1, 0))
    for n in range(2, order + 1):
        histories = [h for h in tables if len(h) == n - 1 and h[-1] not in ("</s>", "<unk>")]
        for history, word in itertools.product(histories, words):
            if word not in ("<s>", "<unk>", *left_out) and rng.random() < share:
                tables[(*history, word)] = (rng.uniform(-2, -0.1), rng.uniform(-1, 0))
    return tables


def write(path, tables):
    order = max(map(len, tables))
    grams = {n: [g for g in tables if len(g) == n] for n in range(1, order + 1)}
    lines = ["\\data\\", *(f"ngram {n}={len(grams[n])}" for n in grams)]
    for n, group in grams.items():
        lines += ["", f"\\{n}-grams:"]
        for gram in group:
            log_prob, backoff = tables[gram]
            tail = f"\t{backoff:.6f}" if n < order else ""
            lines.append(f"{log_prob:.6f}\t{' '.join(gram)}{tail}")
    path.write_text("\n".join([*lines, "", "\\end\\", ""]), "utf-8")
    return path


def brute_force(tables, history, word):
    """Natural log-probability of a word after all words before it, by the definition."""
    order = max(map(len, tables))
    history = tuple(history)[max(0, len(history) - order + 1) :]
    if (*history, word) in tables:
        return tables[(*history, word)][0] * math.log(10)
    if not history:
        return tables["<unk>",][0] * math.log(10)
    backoff = tables[history][1] if history in tables else 0.0
    return backoff * math.log(10) + brute_force(tables, history[1:], word)


@pytest.mark.parametrize("share", [0.15, 0.6])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_texts_are_as_probable_as_the_file_says(tmp_path, order, share):
    left_out = ("c",) if order == 3 else ()
    tables = random_tables(order, order, share, left_out=left_out)
    model = NGram.read(write(tmp_path / "lm.arpa", tables), VOCABULARY)
    rng = np.random.default_rng(order)
    texts = rng.integers(1, VOCABULARY.size, [20, 9]).astype(np.int32)
    states = tf.fill([20], model.start)
    every = np.tile(np.arange(1, VOCABULARY.size, dtype=np.int32), [20, 1])
    scores, advance = (
        tf.function(model.scores, jit_compile=True, autograph=False),
        tf.function(model.advance, autograph=False),
    )
    for place in range(10):
        words = [["<s>", *(VOCABULARY.pieces[i] for i in row[:place])] for row in texts]
        expected = [[brute_force(tables, row, token) for token in TOKENS] for row in words]
        np.testing.assert_allclose(scores(states, every), expected, atol=1e-4)
        ends = [brute_force(tables, row, "</s>") for row in words]
        np.testing.assert_allclose(model.final(states), ends, atol=1e-4)
        if place < 9:
            states = advance(states, texts[:, place])


def test_a_token_that_the_file_lacks_is_as_probable_as_its_rarest(tmp_path):
    tables = random_tables(0, 1, unknown=False, left_out=("c",))
    model = NGram.read(write(tmp_path / "lm.arpa", tables), VOCABULARY)
    rarest = min(tables[token,][0] for token in ("a", "b", "▁")) * math.log(10)
    scores = model.scores(tf.fill([1], model.start), tf.constant([[4]]))
    assert float(scores[0, 0]) == pytest.approx(rarest, abs=1e-4)


def test_a_search_adds_what_the_language_model_says(tmp_path):
    network = Network(2, blank_bias=1.0)
    tables = random_tables(5, 3)
    model = NGram.read(write(tmp_path / "lm.arpa", tables), VOCABULARY)
    config = BeamConfig(beam_size=6, threshold=math.inf, lm_weight=0.7, insertion_bonus=0.3)
    search = BeamSearch(
        predict=network.predict,
        logits=network.logits,
        max_symbols_per_frame=2,
        config=config,
        lm=model,
    )
    start = search.start(len(LENGTHS), lambda rows: network.start(rows)[1])
    paths, beam = search(network.frames, LENGTHS, start)
    beam = search.finish(beam)
    checked = 0
    for b, k in itertools.product(range(len(LENGTHS)), range(6)):
        if not beam.is_alive[b, k]:
            continue
        ids = paths.ids.numpy()[b, k, : paths.count[b, k]]
        words = ["<s>", *(VOCABULARY.pieces[i] for i in ids), "</s>"]
        total = sum(brute_force(tables, words[:n], words[n]) for n in range(1, len(words)))
        expected = 0.7 * total + 0.3 * len(ids)
        assert float(beam.extra[b, k]) == pytest.approx(expected, abs=1e-3)
        checked += len(ids)
    assert checked > 20


def test_refusals(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"There is no language model .*absent; give an ARPA file"):
        NGram.read(tmp_path / "absent", VOCABULARY)
    noise = tmp_path / "noise.arpa"
    noise.write_text("no language model")
    with pytest.raises(UserError, match=r"noise\.arpa is no ARPA file \(.*\); write one with"):
        NGram.read(noise, VOCABULARY)
    whole = write(tmp_path / "whole.arpa", random_tables(0, 2)).read_text("utf-8")
    noise.write_text(whole[: len(whole) // 2], "utf-8")
    with pytest.raises(UserError, match=r"noise\.arpa is no ARPA file"):
        NGram.read(noise, VOCABULARY)
    # What kaldilm takes.
    noise.write_text(re.sub(r"(ngram 1=\d+)", r"\1=6", whole), "utf-8")
    with pytest.raises(UserError, match=r'does not say how many words it has; .* "ngram 1=COUNT"'):
        NGram.read(noise, VOCABULARY)
    words = {(word,): (-1.0, 0.0) for word in ["<s>", "a", *map(str, range(19))]}
    with pytest.raises(UserError, match=r"knows 1 of the model's tokens among 21 words; make it"):
        NGram.read(write(noise, words), VOCABULARY)
    monkeypatch.setattr(ngram_tables.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="Language models need kaldilm; install it with pip"):
        NGram.read(tmp_path / "whole.arpa", VOCABULARY)
