package org.int4conformer.lite.text

import java.text.Normalizer
import java.util.Locale

/**
 * Lower-case words separated by single spaces, as transcripts were before training.
 *
 * Apostrophes survive inside words, a dot between two letters vanishes, markers such as "[noise]"
 * go, and all other punctuation becomes spaces.
 */
fun normalize(text: String): String {
    val marked = MARKER.replace(composed(text), " ")
    val spoken = StringBuilder()
    val points = codePoints(marked)
    for ((place, point) in points.withIndex()) {
        val between = place > 0 && place < points.size - 1 &&
            isLetter(points[place - 1]) && isLetter(points[place + 1])
        if (point != DOT || !between) {
            if (isSpoken(point)) spoken.appendCodePoint(point) else spoken.append(' ')
        }
    }
    return withoutApostrophesAtEdges(spoken).split(' ').filter { it.isNotEmpty() }.joinToString(" ")
}

private const val APOSTROPHE = '\''
private const val DOT = 0x2e
private val OTHER_APOSTROPHES = setOf('\u2018', '\u2019', '\u02bc', '\u0060', '\u00b4')
private val MARKER = Regex("\\[(?=\\S)[^\\[\\]]*(?<=\\S)\\]|<(?=\\S)[^<>]*(?<=\\S)>")
private val DOTTED_I = Regex("i\u0307+")

// What no one says: punctuation, symbols, separators and control characters.
private val UNSPOKEN = setOf(
    Character.CONNECTOR_PUNCTUATION, Character.DASH_PUNCTUATION, Character.START_PUNCTUATION,
    Character.END_PUNCTUATION, Character.INITIAL_QUOTE_PUNCTUATION,
    Character.FINAL_QUOTE_PUNCTUATION, Character.OTHER_PUNCTUATION, Character.MATH_SYMBOL,
    Character.CURRENCY_SYMBOL, Character.MODIFIER_SYMBOL, Character.OTHER_SYMBOL,
    Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR,
    Character.CONTROL
)

// What is not seen and parts nothing.
private val UNSEEN = setOf(
    Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE, Character.UNASSIGNED
)

/** Lower case, composed, without characters that are not seen. */
private fun composed(text: String): String {
    val plain = text.map { if (it in OTHER_APOSTROPHES) APOSTROPHE else it }.joinToString("")
    val lower = lowerCase(Normalizer.normalize(plain, Normalizer.Form.NFKC))
    val seen = StringBuilder()
    for (point in codePoints(lower)) {
        if (kind(point) !in UNSEEN) seen.appendCodePoint(point)
    }
    return Normalizer.normalize(DOTTED_I.replace(seen, "i"), Normalizer.Form.NFKC)
}

// Kotlin's own function has had two names.
@Suppress("PLATFORM_CLASS_MAPPED_TO_KOTLIN")
private fun lowerCase(text: String): String = (text as java.lang.String).toLowerCase(Locale.ROOT)

private fun codePoints(text: String): List<Int> {
    val points = ArrayList<Int>()
    var place = 0
    while (place < text.length) {
        points.add(text.codePointAt(place))
        place += Character.charCount(points.last())
    }
    return points
}

private fun kind(point: Int): Byte = Character.getType(point).toByte()

private fun isSpoken(point: Int): Boolean = point == 0x27 || kind(point) !in UNSPOKEN

private fun isLetter(point: Int): Boolean =
    Character.isLetter(point) || kind(point) == Character.LETTER_NUMBER || kind(point) == Character.OTHER_NUMBER

private fun withoutApostrophesAtEdges(text: CharSequence): String {
    fun parts(place: Int) = place < 0 || place >= text.length || text[place] == ' ' || text[place] == APOSTROPHE
    val kept = StringBuilder()
    for ((place, character) in text.withIndex()) {
        val atEdge = character == APOSTROPHE && (parts(place - 1) || parts(place + 1))
        kept.append(if (atEdge) ' ' else character)
    }
    return kept.toString()
}
