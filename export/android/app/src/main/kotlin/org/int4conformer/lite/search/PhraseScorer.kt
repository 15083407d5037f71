package org.int4conformer.lite.search

import java.util.TreeSet
import org.int4conformer.lite.UserError
import org.int4conformer.lite.text.Spelling
import org.int4conformer.lite.text.Vocabulary
import org.int4conformer.lite.text.WORD_BOUNDARY
import org.int4conformer.lite.text.normalize

// A boundary between words is a symbol of its own, in the blank's place.
private const val BOUNDARY = 0

// States: in a word that matches nothing, and at the start of a word.
private const val INSIDE = 0
private const val START = 1

/**
 * Prefers the phrases of a list: names of contacts, words of a domain.
 *
 * An Aho-Corasick automaton over the phrases' tokens, restricted to matches of whole words. Each
 * token by which a match advances adds a bonus; what a match that fails has added is taken back at
 * the token by which it fails, so that only whole phrases pay.
 */
class PhraseScorer private constructor(
    private val following: Array<IntArray>,
    private val added: Array<DoubleArray>,
    private val ended: DoubleArray
) : Bias {
    override val start = START

    override fun scores(state: Int): DoubleArray = added[state]

    override fun advance(state: Int, label: Int): Int = following[state][label]

    override fun final(state: Int): Double = ended[state]

    companion object {
        /**
         * The scorer of phrases.
         *
         * @param phrases in any spelling that [normalize] reads.
         * @param bonus for each token, in nats.
         */
        fun of(phrases: List<String>, spelling: Spelling, bonus: Double = BIAS_SCORE): PhraseScorer {
            if (!(bonus > 0.0 && bonus < Double.POSITIVE_INFINITY)) {
                throw UserError("The bonus of phrases must be positive. Received: $bonus")
            }
            val texts = TreeSet(phrases.map { normalize(it) }) - ""
            if (texts.isEmpty()) {
                throw UserError("The list of phrases holds no word. Received: ${phrases.size} phrases")
            }
            val trie = Trie(bonus)
            for (text in texts) trie.add(symbols(spelling.encode(text), spelling.vocabulary))
            return tables(trie, spelling.vocabulary)
        }

        /** The tokens of a phrase with boundaries between its words and behind the last one. */
        private fun symbols(ids: List<Int>, vocabulary: Vocabulary): List<Int> {
            val symbols = ArrayList<Int>()
            for (id in ids) {
                val piece = vocabulary.pieces[id]
                if (piece.startsWith(WORD_BOUNDARY)) symbols.add(BOUNDARY)
                if (piece != WORD_BOUNDARY) symbols.add(id)
            }
            return symbols.dropWhile { it == BOUNDARY } + BOUNDARY
        }

        private fun tables(trie: Trie, vocabulary: Vocabulary): PhraseScorer {
            val moves = trie.moves(vocabulary.size)
            val begins = vocabulary.pieces.map { it.startsWith(WORD_BOUNDARY) }
            val lone = vocabulary.pieces.indexOf(WORD_BOUNDARY)
            val states = moves.following.indices
            val crossed = states.map { moves.following[it][BOUNDARY] }
            val crossing = states.map { moves.added[it][BOUNDARY] }
            val following = Array(states.last + 1) { state ->
                IntArray(vocabulary.size) { token ->
                    when {
                        token == BOUNDARY -> state
                        token == lone -> crossed[state]
                        // A token that begins a word crosses the boundary first.
                        begins[token] -> moves.following[crossed[state]][token]
                        else -> moves.following[state][token]
                    }
                }
            }
            val added = Array(states.last + 1) { state ->
                DoubleArray(vocabulary.size) { token ->
                    val score = when {
                        token == BOUNDARY -> 0.0
                        token == lone -> crossing[state]
                        begins[token] -> crossing[state] + moves.added[crossed[state]][token]
                        else -> moves.added[state][token]
                    }
                    score.toFloat().toDouble()
                }
            }
            val ended = DoubleArray(states.last + 1) {
                (crossing[it] - moves.pending[crossed[it]]).toFloat().toDouble()
            }
            return PhraseScorer(following, added, ended)
        }
    }

    /** Of each node: the next one by each symbol, what that adds, and what is pending. */
    private class Moves(
        val following: Array<IntArray>,
        val added: Array<DoubleArray>,
        val pending: DoubleArray
    )

    /**
     * Phrases as paths from [START].
     *
     * Pending is what a match up to a node has added and not yet earned: what failing takes back.
     */
    private class Trie(private val bonus: Double) {
        private val children = arrayListOf(LinkedHashMap<Int, Int>(), LinkedHashMap())

        // For each node, the bonus of the phrase that ends there, 0 for none.
        private val complete = arrayListOf(0.0, 0.0)

        /** Adds a phrase, whose last symbol is a boundary. */
        fun add(symbols: List<Int>) {
            var node = START
            for (symbol in symbols) {
                node = children[node].getOrPut(symbol) {
                    children.add(LinkedHashMap())
                    complete.add(0.0)
                    children.size - 1
                }
            }
            complete[node] = bonus * symbols.count { it != BOUNDARY }
        }

        fun moves(symbols: Int): Moves {
            val count = children.size
            val following = Array(count) { IntArray(symbols) { INSIDE } }
            val added = Array(count) { DoubleArray(symbols) }
            val pending = DoubleArray(count)
            // The longest match among the suffixes that begin with a word, and the best phrase that
            // ends here.
            val fallback = IntArray(count) { INSIDE }
            val earned = complete.toDoubleArray()
            following[INSIDE][BOUNDARY] = START
            // Shorter matches first: a fallback is shorter than what falls back to it.
            val queue = arrayListOf(START)
            var place = 0
            while (place < queue.size) {
                val node = queue[place++]
                val shorter = fallback[node]
                for (symbol in 0 until symbols) {
                    following[node][symbol] = following[shorter][symbol]
                    added[node][symbol] = added[shorter][symbol] + pending[shorter] - pending[node]
                }
                for ((symbol, child) in children[node]) {
                    fallback[child] = if (node == START) INSIDE else following[shorter][symbol]
                    if (symbol == BOUNDARY) {
                        earned[child] = maxOf(earned[child], earned[fallback[child]])
                        pending[child] = maxOf(0.0, pending[node] - earned[child])
                        added[node][symbol] = 0.0
                    } else {
                        pending[child] = pending[node] + bonus
                        added[node][symbol] = bonus
                    }
                    following[node][symbol] = child
                    queue.add(child)
                }
            }
            return Moves(following, added, pending)
        }
    }
}
