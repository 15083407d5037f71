package org.int4conformer.lite

import kotlin.math.min

/** The rule by which an utterance has ended. */
enum class Endpoint(val text: String) {
    AFTER_WORDS("after_words"),
    IN_NOISE("in_noise"),
    WITHOUT_WORDS("without_words"),
    LONGEST("longest")
}

/**
 * After how many seconds an utterance ends; the first rule that holds ends it.
 *
 * A stream is silent where no word comes and nothing stands out from the noise of the room.
 *
 * @property afterWords of silence behind words.
 * @property inNoise behind words, where it is loud but no word comes.
 * @property withoutWords of silence without any word before.
 * @property longest of an utterance as a whole.
 */
data class EndpointConfig(
    val afterWords: Double = 1.2,
    val inNoise: Double = 3.0,
    val withoutWords: Double = 2.4,
    val longest: Double = 30.0
) {
    /**
     * The rule that ends an utterance now; null if it goes on.
     *
     * @param length seconds of the utterance so far.
     * @param sinceWord seconds since the end of the last word; null if there was none.
     * @param sinceActive seconds since there was last what may be speech.
     */
    fun endpoint(length: Double, sinceWord: Double?, sinceActive: Double): Endpoint? =
        when {
            sinceWord == null && sinceActive >= withoutWords -> Endpoint.WITHOUT_WORDS
            sinceWord != null && sinceWord >= inNoise -> Endpoint.IN_NOISE
            sinceWord != null && min(sinceWord, sinceActive) >= afterWords -> Endpoint.AFTER_WORDS
            length >= longest -> Endpoint.LONGEST
            else -> null
        }
}
