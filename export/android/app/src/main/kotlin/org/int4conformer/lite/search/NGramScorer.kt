package org.int4conformer.lite.search

import java.io.File
import java.io.IOException
import kotlin.math.ln
import org.int4conformer.lite.UserError
import org.int4conformer.lite.text.Vocabulary

private const val BEGIN = "<s>"
private const val END = "</s>"
private const val UNKNOWN = "<unk>"
private val LN_10 = ln(10.0)

/**
 * An n-gram language model over a recogniser's own tokens, "▁" for a space.
 *
 * A state is a history. One that has no n-gram for a token backs off to a shorter one:
 *
 *     log p(token | history) = log_prob(history, token)         where there is such an n-gram,
 *                              backoff(history) + log p(token | history without its first token)
 */
class NGramScorer private constructor(
    override val start: Int,
    private val histories: List<History>,
    private val unknown: Float
) : LanguageModel {
    private class Arc(val state: Int, val logProb: Float)

    private class History(val shorter: Int, val backoff: Float, val arcs: Map<Int, Arc>, val ended: Float)

    override fun score(state: Int, label: Int): Float = follow(state, label).logProb

    override fun advance(state: Int, label: Int): Int = follow(state, label).state

    override fun final(state: Int): Float = histories[state].ended

    private fun follow(state: Int, label: Int): Arc {
        var total = 0.0f
        var history = state
        while (true) {
            val arc = histories[history].arcs[label]
            if (arc != null) return Arc(arc.state, total + arc.logProb)
            total += histories[history].backoff
            if (histories[history].shorter == history) return Arc(history, total + unknown)
            history = histories[history].shorter
        }
    }

    companion object {
        /** The model of an ARPA file, such as KenLM's `lmplz` writes. */
        fun read(file: File, vocabulary: Vocabulary): NGramScorer {
            val lines =
                try {
                    file.readLines()
                } catch (error: IOException) {
                    throw UserError("The language model $file cannot be read; give an ARPA file.", error)
                }
            return of(lines, vocabulary, file.name)
        }

        /** The model of an ARPA file's lines; [source] is what errors call it. */
        fun of(lines: List<String>, vocabulary: Vocabulary, source: String): NGramScorer {
            val ngrams = NGrams.parse(lines, source)
            val known = vocabulary.pieces.drop(1).count { listOf(it) in ngrams.entries }
            val words = ngrams.entries.keys.count { it.size == 1 }
            // The marks of a text's begin and end and of unknown words are no tokens.
            if (known == 0 || 2 * known < words - 3) {
                throw UserError(
                    "$source knows $known of the model's tokens among $words words; make it of " +
                        "texts that `int4-conformer tokens` has parted into tokens."
                )
            }
            return Builder(ngrams, vocabulary).scorer()
        }
    }

    /** Lines of an ARPA file; log-probabilities are natural. */
    private class NGrams(val entries: Map<List<String>, Entry>, val order: Int) {
        class Entry(val logProb: Double, val backoff: Double)

        companion object {
            fun parse(lines: List<String>, source: String): NGrams {
                val entries = LinkedHashMap<List<String>, Entry>()
                var order = 0
                for (line in lines.dropWhile { it.trim() != "\\data\\" }.drop(1).map { it.trim() }) {
                    if (line == "\\end\\") return NGrams(entries, order)
                    if (line.startsWith("\\")) {
                        order = line.removePrefix("\\").removeSuffix("-grams:").toIntOrNull() ?: break
                    } else if (order > 0 && line.isNotEmpty()) {
                        val fields = line.split(' ', '\t').filter { it.isNotEmpty() }
                        val logProb = fields[0].toDoubleOrNull()
                        val backoff = if (fields.size == order + 2) fields.last().toDoubleOrNull() else 0.0
                        if (logProb == null || backoff == null || fields.size !in order + 1..order + 2) break
                        entries[fields.subList(1, order + 1)] = Entry(logProb * LN_10, backoff * LN_10)
                    }
                }
                throw UserError("$source is no ARPA file; write one with lmplz, for example.")
            }
        }
    }

    private class Builder(private val ngrams: NGrams, private val vocabulary: Vocabulary) {
        private val states = LinkedHashMap<List<String>, Int>()

        init {
            states[emptyList()] = 0
            for (ngram in ngrams.entries.keys) {
                if (ngram.size < ngrams.order && ngram.last() != END) states[ngram] = states.size
            }
        }

        fun scorer(): NGramScorer {
            val arcs = HashMap<List<String>, HashMap<Int, Arc>>()
            for ((ngram, entry) in ngrams.entries) {
                val label = vocabulary.ids[ngram.last()] ?: continue
                val ofHistory = arcs.getOrPut(ngram.dropLast(1)) { HashMap() }
                ofHistory[label] = Arc(state(ngram), entry.logProb.toFloat())
            }
            val histories = states.keys.map { history ->
                History(
                    shorter = if (history.isEmpty()) 0 else state(history.drop(1)),
                    backoff = backoff(history).toFloat(),
                    arcs = arcs[history] ?: HashMap(),
                    ended = ended(history).toFloat()
                )
            }
            val least = histories[0].arcs.values.fold(Float.MAX_VALUE) { least, arc -> minOf(least, arc.logProb) }
            val unknown = ngrams.entries[listOf(UNKNOWN)]?.logProb?.toFloat() ?: least
            return NGramScorer(state(listOf(BEGIN)), histories, unknown)
        }

        /** The state after some tokens: the longest of their ends that is one. */
        private fun state(tokens: List<String>): Int {
            var history = tokens
            while (history !in states) history = history.drop(1)
            return states.getValue(history)
        }

        private fun backoff(history: List<String>): Double = ngrams.entries[history]?.backoff ?: 0.0

        /** Log-probability of the text's end after a history. */
        private fun ended(history: List<String>): Double {
            val end = ngrams.entries[history + END]
            if (end != null) return end.logProb
            if (history.isEmpty()) return 0.0
            return backoff(history) + ended(history.drop(1))
        }
    }
}
