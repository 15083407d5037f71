package org.int4conformer.lite.text

import org.int4conformer.lite.UserError

/**
 * Spells a text as the tokenizer does that a model was trained with.
 *
 * Of the ways to put a text together from pieces it takes the one whose scores have the highest
 * sum, found by Viterbi's algorithm.
 *
 * @param pieceScores of each id; null where there is but one way to spell a text.
 * @param marksFirstWord whether there is a word boundary before the first word, too.
 */
class Spelling(
    val vocabulary: Vocabulary,
    private val pieceScores: List<Double>?,
    private val marksFirstWord: Boolean
) {
    // In code points, as pieces are no longer than so many.
    private val longest =
        vocabulary.pieces.drop(1).fold(0) { most, piece -> maxOf(most, piece.codePointCount(0, piece.length)) }

    private class Best(val score: Double, val piece: String, val symbols: Int)

    /** Ids of a normalized text; a [UserError] if a symbol of it is not in the vocabulary. */
    fun encode(text: String): List<Int> {
        var marked = text.replace(" ", WORD_BOUNDARY)
        if (marksFirstWord && marked.isNotEmpty()) marked = WORD_BOUNDARY + marked
        val bounds = bounds(marked)
        // Of each beginning of the text: the best sum, and the last piece on the way to it.
        val best = arrayListOf(Best(0.0, "", 0))
        for (end in 1 until bounds.size) {
            var found = Best(Double.NEGATIVE_INFINITY, "", 1)
            for (start in end - 1 downTo maxOf(end - longest, 0)) {
                val piece = marked.substring(bounds[start], bounds[end])
                val sum = best[start].score + score(piece)
                if (sum > found.score) found = Best(sum, piece, end - start)
            }
            val symbol = marked.substring(bounds[end - 1], bounds[end])
            if (found.score == Double.NEGATIVE_INFINITY && symbol !in vocabulary.ids) {
                throw UserError(
                    "The symbol '${symbol.replace(WORD_BOUNDARY, " ")}' of the text '$text' is not " +
                        "in the vocabulary of this model."
                )
            }
            best.add(found)
        }
        val ids = ArrayList<Int>()
        var end = bounds.size - 1
        while (end > 0) {
            ids.add(vocabulary.ids.getValue(best[end].piece))
            end -= best[end].symbols
        }
        return ids.asReversed()
    }

    /** Where the symbols of a text begin, and its end: a symbol may be two characters. */
    private fun bounds(text: String): List<Int> {
        val bounds = arrayListOf(0)
        while (bounds.last() < text.length) {
            bounds.add(bounds.last() + Character.charCount(text.codePointAt(bounds.last())))
        }
        return bounds
    }

    private fun score(piece: String): Double {
        val id = vocabulary.ids[piece] ?: BLANK
        if (id == BLANK) return Double.NEGATIVE_INFINITY
        return if (pieceScores == null) 0.0 else pieceScores[id]
    }
}
