package org.int4conformer.lite.search

import org.int4conformer.lite.UserError

/** Bonus for each token of a preferred phrase, in nats. */
const val BIAS_SCORE = 0.5

/**
 * How wide to search, and what else to ask than the model.
 *
 * @property beamSize hypotheses of an utterance; 1 is greedy search.
 * @property nBest hypotheses that are returned, the best first.
 * @property threshold hypotheses that are so much less probable than the best are dropped, in nats.
 * @property lmWeight factor of the language model's log-probabilities.
 * @property lmCandidates labels of each hypothesis that the language model is asked about.
 * @property insertionBonus added for each label when there is a language model, in nats.
 */
data class BeamConfig(
    val beamSize: Int = 8,
    val nBest: Int = 1,
    val threshold: Double = 12.0,
    val lmWeight: Double = 0.3,
    val lmCandidates: Int = 16,
    val insertionBonus: Double = 0.0
) {
    init {
        if (nBest < 1 || beamSize < nBest || lmCandidates < 1 || threshold <= 0.0 || lmWeight < 0.0) {
            throw UserError(
                "A beam holds at least one hypothesis and returns no more than it holds; its " +
                    "threshold is positive. Received: $this"
            )
        }
    }
}
