package org.int4conformer.lite.search

/** The score of what cannot be; finite, so that differences of two are no NaN. */
internal const val NOTHING = -1e30

/** Prefers some labels after others ([PhraseScorer]), or allows no others ([ClosedList]). */
interface Bias {
    /** State before the first label. */
    val start: Int

    /** What each label of the vocabulary would add. */
    fun scores(state: Int): DoubleArray

    /** The state after a label. */
    fun advance(state: Int, label: Int): Int

    /** What the end of the utterance adds. */
    fun final(state: Int): Double
}

/** Knows how probable labels are after others ([NGramScorer]). */
interface LanguageModel {
    /** State before the first label. */
    val start: Int

    /** Log-probability of a label. */
    fun score(state: Int, label: Int): Float

    /** The state after a label. */
    fun advance(state: Int, label: Int): Int

    /** Log-probability of the end of the text. */
    fun final(state: Int): Float
}
