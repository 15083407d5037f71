"""Random lattices, and their loss and gradient in float64, the slow way."""

import numpy as np


def random_batch(batch, time, labels, vocab=4, seed=0, blank_id=0, scale=2.0):
    """Logits, labels (never the blank) and random lengths, no row of padding."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal([batch, time, labels + 1, vocab])
    symbols = np.setdiff1d(np.arange(vocab), [blank_id])
    return (
        logits.astype(np.float32),
        rng.choice(symbols, [batch, labels]).astype(np.int32),
        rng.integers(1, time + 1, [batch]).astype(np.int32),
        rng.integers(0, labels + 1, [batch]).astype(np.int32),
    )


def brute_force(logits, labels, **options):
    """Loss of an utterance without padding, and its gradient: all alignments, one after another."""
    time, count = logits.shape[0], len(labels)
    blank, label, gradient_of = _moves(logits, labels, **options)

    def alignments(t, u):
        """The moves of each alignment from point (t, u) on."""
        if t == time - 1 and u == count:
            yield [("blank", t, u)]
        if t < time - 1:
            yield from ([("blank", t, u), *rest] for rest in alignments(t + 1, u))
        if u < count:
            yield from ([("label", t, u), *rest] for rest in alignments(t, u + 1))

    scores = {"blank": blank, "label": label}
    found = list(alignments(0, 0))
    costs = [-sum(scores[move][t, u] for move, t, u in moves) for moves in found]
    loss = -np.logaddexp.reduce(-np.array(costs))
    taken = {"blank": np.zeros(blank.shape), "label": np.zeros(blank.shape)}
    for moves, cost in zip(found, costs, strict=True):
        for move, t, u in moves:
            taken[move][t, u] += np.exp(loss - cost)
    return loss, gradient_of(taken["blank"], taken["label"])


def forward_backward(logits, labels, **options):
    """`brute_force` in polynomial time, point by point."""
    time, count = logits.shape[0], len(labels)
    blank, label, gradient_of = _moves(logits, labels, **options)
    alpha, beta = (np.full([time + 1, count + 2], -np.inf) for _ in range(2))
    alpha[0, 0] = 0
    for t in range(time):
        for u in range(count + 1):
            if t:
                alpha[t, u] = np.logaddexp(alpha[t, u], alpha[t - 1, u] + blank[t - 1, u])
            if u:
                alpha[t, u] = np.logaddexp(alpha[t, u], alpha[t, u - 1] + label[t, u - 1])
    beta[time, count] = 0
    for t in reversed(range(time)):
        for u in reversed(range(count + 1)):
            beta[t, u] = np.logaddexp(beta[t + 1, u] + blank[t, u], beta[t, u + 1] + label[t, u])
    total = beta[0, 0]
    here = alpha[:-1, :-1] - total
    taken_blank = np.exp(here + blank + beta[1:, :-1])
    taken_label = np.exp(here + label + beta[:-1, 1:])
    return -total, gradient_of(taken_blank, taken_label)


def of_batch(function, logits, labels, logit_lengths, label_lengths, **options):
    """Losses, and gradients of the logits, zero at padding."""
    losses, gradients = [], np.zeros(logits.shape)
    rows = zip(logits, labels, logit_lengths, label_lengths, strict=True)
    for row, (points, symbols, time, count) in enumerate(rows):
        loss, gradient = function(points[:time, : count + 1], symbols[:count], **options)
        losses.append(loss)
        gradients[row, :time, : count + 1] = gradient
    return np.array(losses), gradients


def _moves(logits, labels, blank_id=0, fast_emit=0.0, label_smoothing=0.0):
    """Scores of blanks and labels, and the gradient by how often each is taken."""
    logits = logits.astype(np.float64)
    vocab = logits.shape[-1]
    log_softmax = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    others = np.where(np.arange(vocab) == blank_id, 0, 1 / (vocab - 1))
    is_blank = np.eye(vocab)[blank_id]
    # After the last label there is none.
    wanted = [(1 - label_smoothing) * np.eye(vocab)[y] + label_smoothing * others for y in labels]
    wanted = np.array([*wanted, np.zeros(vocab)])
    label = np.sum(log_softmax * wanted, axis=-1)
    label[:, -1] = -np.inf

    def gradient(blanks, labels):
        labels = (1 + fast_emit) * labels
        taken = blanks[..., None] * is_blank + labels[..., None] * wanted
        return np.exp(log_softmax) * (blanks + labels)[..., None] - taken

    return log_softmax[..., blank_id], label, gradient
