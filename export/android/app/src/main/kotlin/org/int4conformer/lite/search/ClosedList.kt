package org.int4conformer.lite.search

import org.int4conformer.lite.UserError
import org.int4conformer.lite.text.Spelling
import org.int4conformer.lite.text.WORD_BOUNDARY
import org.int4conformer.lite.text.normalize

private val NOTATION = Regex("[()\\[\\]{}|+=]|\\.\\.|(^|\\s)\\p{Nd}+(\\s|$)")

/**
 * Allows the phrases of a list and nothing else: an utterance says one of them, or nothing.
 *
 * Phrases are plain words. The notation of the Python package, with choices, slots and numbers, is
 * not read here.
 */
class ClosedList(phrases: List<String>, spelling: Spelling) : Bias {
    override val start = 0

    private val vocabularySize = spelling.vocabulary.size
    private val following = arrayListOf(HashMap<Int, Int>())
    private val accepts = hashSetOf(0)
    private val names = LinkedHashMap<String, String>()

    init {
        for (phrase in phrases.filter { it.isNotBlank() }) add(phrase, spelling)
        if (names.isEmpty()) {
            throw UserError("The list has no phrase. Received: ${phrases.size} lines")
        }
    }

    private fun add(phrase: String, spelling: Spelling) {
        if (NOTATION.containsMatchIn(phrase)) {
            throw UserError("The phrase '$phrase' is no plain phrase; write words, and numbers as words.")
        }
        val text = normalize(phrase)
        if (text == "") throw UserError("The phrase '$phrase' has no word.")
        var state = start
        for ((place, word) in text.split(' ').withIndex()) {
            for (id in ids(word, spelling, isFirst = place == 0)) {
                state = following[state].getOrPut(id) {
                    following.add(HashMap())
                    following.size - 1
                }
            }
        }
        accepts.add(state)
        if (text !in names) names[text] = phrase.trim()
    }

    private fun ids(word: String, spelling: Spelling, isFirst: Boolean): List<Int> {
        val ids = spelling.encode(word)
        val vocabulary = spelling.vocabulary
        if (isFirst || vocabulary.pieces[ids[0]].startsWith(WORD_BOUNDARY)) return ids
        return listOf(vocabulary.ids.getValue(WORD_BOUNDARY)) + ids
    }

    /** The phrase of the list that a text is; null if it is none. */
    fun match(text: String): String? = names[normalize(text)]

    override fun scores(state: Int): DoubleArray {
        val scores = DoubleArray(vocabularySize) { NOTHING }
        for (label in following[state].keys) scores[label] = 0.0
        return scores
    }

    /** The state after a token; one that may not follow changes nothing. */
    override fun advance(state: Int, label: Int): Int = following[state][label] ?: state

    override fun final(state: Int): Double = if (state in accepts) 0.0 else NOTHING
}
