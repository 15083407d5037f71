package org.int4conformer.lite.text

import org.int4conformer.lite.UserError

/** SentencePiece's mark for the space before a word, "▁". */
internal const val WORD_BOUNDARY = "\u2581"

/** The id of the blank. */
internal const val BLANK = 0

/** A word and the places of the tokens that spell it. */
data class SpelledWord(val text: String, val places: List<Int>)

/** The pieces of text that the output ids stand for; the first one is the blank. */
class Vocabulary(val pieces: List<String>) {
    val size: Int
        get() = pieces.size

    /** The id of each piece. */
    val ids: Map<String, Int> = pieces.withIndex().associate { it.value to it.index }

    /** Text of a sequence of ids; blanks are skipped and spaces collapsed. */
    fun detokenize(ids: List<Int>): String = words(ids).joinToString(" ") { it.text }

    /** The words of [detokenize]. */
    fun words(ids: List<Int>): List<SpelledWord> {
        val words = ArrayList<SpelledWord>()
        var inside = false
        for ((place, id) in ids.withIndex()) {
            for ((number, part) in parts(id).withIndex()) {
                inside = inside && number == 0
                if (part == "") continue
                if (inside) {
                    val begun = words.removeAt(words.size - 1)
                    words.add(SpelledWord(begun.text + part, begun.places + place))
                } else {
                    words.add(SpelledWord(part, listOf(place)))
                }
                inside = true
            }
        }
        return words
    }

    /** What a token adds to the word before it, and the words that it begins. */
    private fun parts(id: Int): List<String> {
        if (id < 0 || id >= size) {
            throw UserError(
                "The id $id is outside this vocabulary of $size pieces; use the vocabulary that " +
                    "the model was trained with."
            )
        }
        if (id == BLANK) return listOf("")
        return pieces[id].replace(WORD_BOUNDARY, " ").split(' ', '\t', '\n', '\r', '\u00a0')
    }
}
