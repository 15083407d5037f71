package org.int4conformer.lite.search

import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.ln1p
import org.int4conformer.lite.Frames
import org.int4conformer.lite.Token
import org.int4conformer.lite.text.BLANK

/**
 * What may have been said up to a frame.
 *
 * @property tokens those that are not committed.
 * @property logProb the model's log-probability of all tokens, over the alignments seen.
 * @property extra what bias and language model have added.
 * @property key a hash of all labels.
 * @property greedy whether this is the path of greedy search.
 * @property label the last label, and [before] what was predicted before it.
 * @property prediction what is predicted after it, once that was asked.
 */
data class Hypothesis(
    val tokens: List<Token> = emptyList(),
    val logProb: Double = 0.0,
    val extra: Double = 0.0,
    val key: Long = 0,
    val greedy: Boolean = false,
    val bias: Int = 0,
    val lm: Int = 0,
    val label: Int = BLANK,
    val before: Prediction? = null,
    var prediction: Prediction? = null
) {
    /** By which hypotheses compete. */
    val score: Double
        get() = logProb + extra
}

/**
 * A beam search in the frames of a transducer; the blank is 0.
 *
 * Hypotheses look at the same frame. In a round, each one that is not done with the frame offers
 * its successors, by the blank or by a label; the best of all are the next beam. Hypotheses with
 * the same labels become one, and one place is reserved for the path of greedy search. Frames that
 * hypotheses are likely to come to are asked about in advance.
 */
class TimeSynchronousSearch(
    private val network: Network,
    private val maxSymbolsPerFrame: Int,
    private val config: BeamConfig,
    private val bias: Bias? = null,
    private val lm: LanguageModel? = null
) {
    /** A successor of a hypothesis, by a symbol: done with the frame if that is the blank. */
    private data class Offer(
        val parent: Hypothesis,
        val symbol: Int,
        val logProb: Double,
        val extra: Double,
        val step: Double = 0.0,
        val greedy: Boolean = false
    ) {
        val score: Double
            get() = logProb + extra
    }

    /** A beam of one hypothesis without labels. */
    fun start(): List<Hypothesis> =
        listOf(Hypothesis(greedy = true, bias = bias?.start ?: 0, lm = lm?.start ?: 0))

    /**
     * Follows a beam through frames.
     *
     * @param first number of the first frame, from the start of the utterance.
     */
    fun advance(frames: Frames, start: List<Hypothesis>, first: Int = 0): List<Hypothesis> {
        // Log-probabilities are of the frames of a segment.
        for (hypothesis in start) hypothesis.prediction?.logProbs = null
        var beam = start
        for (time in 0 until frames.size) {
            var done = emptyList<Hypothesis>()
            var active = beam
            var emitted = 0
            while (active.isNotEmpty()) {
                val offers = offers(frames, time, active, emitted < maxSymbolsPerFrame)
                val chosen = best(done.map { stay(it) }, offers)
                val (blanks, labels) = chosen.partition { it.symbol == BLANK }
                done = blanks.map { successor(it, first + time) }
                active = labels.map { successor(it, first + time) }
                emitted++
            }
            beam = done
        }
        return beam.sortedByDescending { it.score }
    }

    /** The best hypotheses at the end of an utterance, the best first; none may be possible. */
    fun finish(beam: List<Hypothesis>): List<Hypothesis> =
        beam
            .map { hypothesis ->
                var added = bias?.final(hypothesis.bias) ?: 0.0
                if (lm != null) added += config.lmWeight * lm.final(hypothesis.lm)
                hypothesis.copy(extra = hypothesis.extra + added)
            }
            .filter { it.score > NOTHING / 2 }
            .sortedByDescending { it.score }
            .take(config.nBest)

    /** What may follow each hypothesis in a frame: the blank, then labels. */
    private fun offers(
        frames: Frames,
        time: Int,
        active: List<Hypothesis>,
        mayEmit: Boolean
    ): List<List<Offer>> {
        ask(frames, time, active)
        val count = if (lm == null) config.beamSize else maxOf(config.beamSize, config.lmCandidates)
        return active.map { offers(it, logProbs(it, time), mayEmit, count) }
    }

    private fun offers(
        hypothesis: Hypothesis,
        logProbs: DoubleArray,
        mayEmit: Boolean,
        count: Int
    ): List<Offer> {
        val added = bias?.scores(hypothesis.bias)
        val fused = if (added == null) logProbs else DoubleArray(added.size) { logProbs[it] + added[it] }
        val labels = largestLabels(fused, count)
        val extra = labels.map { label ->
            var more = if (added == null) 0.0 else added[label]
            if (lm != null) {
                // In float32, as the Python search has it.
                more += config.insertionBonus
                more += (config.lmWeight.toFloat() * lm.score(hypothesis.lm, label)).toDouble()
            }
            more
        }
        val values = labels.indices.map { logProbs[labels[it]] + extra[it] }
        var best = 0
        for (place in values.indices) if (values[place] > values[best]) best = place
        // The blank comes first, unless a label is likelier.
        val emits = hypothesis.greedy && mayEmit && values[best] > logProbs[BLANK]
        val blank = offer(hypothesis, BLANK, logProbs[BLANK], 0.0, !emits)
        if (!mayEmit) return listOf(blank)
        return listOf(blank) + labels.indices.map { place ->
            offer(hypothesis, labels[place], logProbs[labels[place]], extra[place], emits && place == best)
        }
    }

    /** The best offers; of two that are done with the same labels, the likelier has both. */
    private fun best(stays: List<Offer>, offers: List<List<Offer>>): List<Offer> {
        val done = stays.toMutableList()
        val places = HashMap<Long, Int>()
        for ((place, offer) in done.withIndex()) places[offer.parent.key] = place
        val moving = ArrayList<Offer>()
        for (ofOne in offers) {
            var blank = ofOne[0]
            val place = places[blank.parent.key]
            if (place != null) {
                val other = done[place]
                val wins = blank.logProb > other.logProb
                val both = (if (wins) blank else other).copy(
                    logProb = logAddExp(blank.logProb, other.logProb),
                    greedy = blank.greedy || other.greedy
                )
                if (!wins) {
                    done[place] = both
                    moving.addAll(ofOne.drop(1))
                    continue
                }
                places.remove(blank.parent.key)
                done[place] = other.copy(logProb = NOTHING, greedy = false)
                blank = both
            }
            moving.add(blank)
            moving.addAll(ofOne.drop(1))
        }
        val all = done + moving
        val least = all.fold(Double.NEGATIVE_INFINITY) { most, it -> maxOf(most, it.score) } - config.threshold
        return all
            .filter { it.greedy || (it.score >= least && it.score > NOTHING / 2) }
            .sortedWith(compareByDescending<Offer> { it.greedy }.thenByDescending { it.score })
            .take(config.beamSize)
    }

    /** The hypothesis that an offer leads to. */
    private fun successor(offer: Offer, frame: Int): Hypothesis {
        val parent = offer.parent
        val kept = parent.copy(logProb = offer.logProb, extra = offer.extra, greedy = offer.greedy)
        val label = offer.symbol
        if (label == BLANK) return kept
        return kept.copy(
            tokens = parent.tokens + Token(label, frame, offer.step),
            key = extended(parent.key, label),
            bias = bias?.advance(parent.bias, label) ?: 0,
            lm = lm?.advance(parent.lm, label) ?: 0,
            label = label,
            before = parent.prediction,
            prediction = null
        )
    }

    /** Asks the networks what they have not said of a frame and those that follow. */
    private fun ask(frames: Frames, time: Int, active: List<Hypothesis>) {
        val unknown = active.filter { it.prediction == null }
        if (unknown.isNotEmpty()) {
            val predictions = network.predict(unknown.map { it.label }, unknown.map { it.before })
            for ((hypothesis, prediction) in unknown.zip(predictions)) hypothesis.prediction = prediction
        }
        val missing = active.map { it.prediction!! }.filter { !it.knows(time) }
        if (missing.isEmpty()) return
        // The rows of a call that are left hear the frames that follow.
        val ahead = maxOf(1, network.rows / missing.size)
        val following = (time until minOf(time + ahead, frames.size)).map { frames[it] }
        val logits = network.logits(
            missing.flatMap { following },
            missing.flatMap { prediction -> following.map { prediction.output } }
        )
        for ((place, prediction) in missing.withIndex()) {
            val start = place * following.size
            prediction.firstFrame = time
            prediction.logProbs = logits.subList(start, start + following.size).map { logSoftmax(it) }
        }
    }

    private fun logProbs(hypothesis: Hypothesis, time: Int): DoubleArray {
        val prediction = hypothesis.prediction!!
        return prediction.logProbs!![time - prediction.firstFrame]
    }

    /** The only offer of a hypothesis that is done with the frame. */
    private fun stay(hypothesis: Hypothesis) =
        Offer(hypothesis, BLANK, hypothesis.logProb, hypothesis.extra, greedy = hypothesis.greedy)

    private fun offer(parent: Hypothesis, symbol: Int, step: Double, extra: Double, isGreedy: Boolean) =
        Offer(
            parent = parent,
            symbol = symbol,
            logProb = parent.logProb + step,
            extra = parent.extra + extra,
            step = step,
            greedy = parent.greedy && isGreedy
        )
}

/**
 * Takes out the tokens that all hypotheses share.
 *
 * Whatever is heard later, every text of the search begins with them. A hypothesis keeps back
 * [room] tokens at most: where the best one has more, its first ones are committed, and hypotheses
 * that begin otherwise are dropped.
 *
 * @param beam the best first.
 * @return the committed tokens, as the best hypothesis has them, and what is left.
 */
fun commit(beam: List<Hypothesis>, room: Int): Pair<List<Token>, List<Hypothesis>> {
    val best = beam[0]
    val shared = beam.map { sharedLength(best.tokens, it.tokens) }
    val least = shared.fold(best.tokens.size) { least, length -> minOf(least, length) }
    val count = maxOf(least, best.tokens.size - room)
    var left = beam.indices
        .filter { shared[it] >= count && beam[it].tokens.size - count <= room }
        .map { beam[it].copy(tokens = beam[it].tokens.drop(count)) }
    if (left.none { it.greedy }) {
        // The best hypothesis takes the reserved place where its own is dropped.
        left = listOf(left[0].copy(greedy = true)) + left.drop(1)
    }
    return best.tokens.take(count) to left
}

private fun sharedLength(one: List<Token>, other: List<Token>): Int =
    one.zip(other).takeWhile { (a, b) -> a.id == b.id }.size

/** The labels of the largest values, the largest first; of equal ones the first. */
private fun largestLabels(values: DoubleArray, count: Int): List<Int> =
    (1 until values.size).sortedByDescending { values[it] }.take(count)

private fun logSoftmax(logits: FloatArray): DoubleArray {
    val most = logits.fold(Float.NEGATIVE_INFINITY) { most, logit -> maxOf(most, logit) }
    var sum = 0.0
    for (logit in logits) sum += exp(logit.toDouble() - most)
    val log = ln(sum)
    return DoubleArray(logits.size) { logits[it].toDouble() - most - log }
}

private fun logAddExp(one: Double, other: Double): Double {
    if (one == other) return one + ln(2.0)
    return maxOf(one, other) + ln1p(exp(-Math.abs(one - other)))
}

/** The hash of one more label: splitmix64 over a sum. */
private fun extended(key: Long, label: Int): Long {
    var mixed = key * -0x61c8864680b583ebL + label
    mixed = (mixed xor (mixed ushr 30)) * -0x40a7b892e31b1a47L
    mixed = (mixed xor (mixed ushr 27)) * -0x6b2fb644ecceee15L
    return mixed xor (mixed ushr 31)
}
