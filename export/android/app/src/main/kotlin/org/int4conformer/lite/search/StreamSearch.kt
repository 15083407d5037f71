package org.int4conformer.lite.search

import org.int4conformer.lite.Frames
import org.int4conformer.lite.Token

// Most tokens of a hypothesis that wait until the others agree.
private const val ROOM = 64

/**
 * One utterance of a stream, searched by a beam.
 *
 * @param commits whether tokens are final once all hypotheses share them, or at the end alone.
 */
internal class StreamSearch(private val search: TimeSynchronousSearch, private val commits: Boolean) {
    private var beam = search.start()
    private var frames = 0

    /** Tokens of the best hypothesis that are not final. */
    val waiting: List<Token>
        get() = beam[0].tokens

    /** Begins the next utterance. */
    fun restart() {
        beam = search.start()
        frames = 0
    }

    /** Tokens that are final after more frames. */
    fun hear(encoded: Frames): List<Token> {
        beam = search.advance(encoded, beam, frames)
        frames += encoded.size
        if (!commits) return emptyList()
        val (tokens, left) = commit(beam, ROOM)
        beam = left
        return tokens
    }

    /** The rest of the tokens at the end of the utterance. */
    fun finish(): List<Token> {
        val ended = search.finish(beam)
        // Nothing waits any more.
        beam = search.start()
        return ended.firstOrNull()?.tokens ?: emptyList()
    }
}
