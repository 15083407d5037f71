package org.int4conformer.lite

import org.int4conformer.lite.search.StreamSearch
import org.int4conformer.lite.text.Vocabulary

// Audio that is kept of before speech was noticed.
private const val KEPT_SECONDS = 1.0

// Audio after which the rules of endpoints are looked at.
private const val STEP_SECONDS = 0.1

// Resamplers overshoot 1 by a little; 16-bit samples cast to float by thousands.
private const val MAX_PEAK = 4.0f

/**
 * The words of an utterance so far.
 *
 * @property finalText what stays as it is.
 * @property text all words: what follows the final ones may still be corrected.
 * @property finalWords the final words with their times, from the start of the stream.
 * @property endpoint the rule by which the utterance has ended: all its words are final then, and
 *   what is fed next begins another one. Null: it goes on.
 */
data class PartialResult(
    val finalText: String,
    val text: String,
    val finalWords: List<Word>,
    val endpoint: Endpoint?
)

/**
 * Audio that is heard segment by segment; [Recognizer.stream] makes it.
 *
 * It is not for several threads at once.
 */
class RecognizerStream internal constructor(
    private val first: Pass,
    private val second: Pass?,
    private val vocabulary: Vocabulary,
    private val blockSamples: Int,
    private val frameSeconds: Double,
    private val sampleRate: Int,
    private val search: StreamSearch?,
    private val endpointing: EndpointConfig?,
    private val gated: Boolean
) {
    private val activity = SpeechActivity(sampleRate)

    // Audio that waits behind an endpoint, and samples before it.
    private var waiting = FloatArray(0)
    private var samples = 0L
    private var ended = false
    private var endpoint: Endpoint? = null

    // Audio of before there was something to hear; null once there was.
    private var kept: FloatArray? = null
    private var begun = 0L
    private var heard = 0L
    private var assembler = WordAssembler(vocabulary, frameSeconds)

    /** Frames and tokens of a segment that the second pass has not seen. */
    private class Pending(val frames: Int, val tokens: List<Token>)

    private val pending = ArrayList<Pending>()

    init {
        begin()
    }

    /** Begins an utterance with what is heard next. */
    private fun begin() {
        endpoint = null
        kept = if (gated) FloatArray(0) else null
        begun = samples
        heard = 0
        assembler = WordAssembler(vocabulary, frameSeconds)
        pending.clear()
        first.restart()
        second?.restart()
        search?.restart()
    }

    /**
     * Hears what follows, and returns the words so far.
     *
     * At an endpoint it stops: what is left of the samples is heard in the next call, which may
     * give none.
     *
     * @param pcm mono, in -1..1, at the model's rate.
     */
    fun feed(pcm: FloatArray): PartialResult {
        if (ended) throw UserError("The utterance has ended; begin a new stream for the next one.")
        waiting += checked(pcm)
        return goOn()
    }

    /**
     * Ends the stream, and returns the words of its last utterance, all of them final.
     *
     * At an endpoint before the end it stops: the next call goes on.
     */
    fun finish(): PartialResult {
        ended = true
        val result = goOn()
        if (result.endpoint != null || first.isFinished) return result
        kept?.let {
            // Too short for a noise floor, it may be a word nevertheless.
            val speech = it.size.toLong() == samples && mayHoldSpeech(it, sampleRate)
            kept = null
            if (speech) hear(it, last = false)
        }
        if (heard > 0) hear(FloatArray(0), last = true)
        return result()
    }

    /** Hears what waits, up to an endpoint. */
    private fun goOn(): PartialResult {
        if (endpoint != null) begin()
        val inSteps = endpointing != null || gated
        val step = if (inSteps) (STEP_SECONDS * sampleRate).toInt() else maxOf(waiting.size, 1)
        while (waiting.isNotEmpty()) {
            val size = minOf(step, waiting.size)
            val pcm = waiting.copyOf(size)
            waiting = waiting.copyOfRange(size, waiting.size)
            samples += size
            if (inSteps) activity.hear(pcm)
            val before = kept
            if (before == null) {
                hear(pcm, last = false)
                endpoint = rule()
            } else {
                keep(before + pcm)
            }
            if (endpoint != null) {
                hear(FloatArray(0), last = true)
                break
            }
        }
        return result()
    }

    /** Hears audio in which no speech was noticed before. */
    private fun keep(pcm: FloatArray) {
        val active = activity.lastActive
        if (active != null && active * sampleRate > begun) {
            kept = null
            hear(pcm, last = false)
            return
        }
        val most = (KEPT_SECONDS * sampleRate).toInt()
        // In whole blocks, so that frames are where they would be if all were heard.
        val dropped = maxOf(pcm.size - most, 0) / blockSamples * blockSamples
        begun += dropped
        kept = pcm.copyOfRange(dropped, pcm.size)
    }

    /** The rule that has ended the utterance. */
    private fun rule(): Endpoint? {
        if (endpointing == null) return null
        val now = samples.toDouble() / sampleRate
        val start = begun.toDouble() / sampleRate
        val last = assembler.wordsWith(following()).lastOrNull()
        return endpointing.endpoint(
            length = now - start,
            sinceWord = last?.let { now - (it.end + start) },
            sinceActive = now - maxOf(start, activity.lastActive ?: 0.0)
        )
    }

    private fun hear(pcm: FloatArray, last: Boolean) {
        heard += pcm.size
        val missing = if (last) Math.floorMod(-heard, blockSamples.toLong()).toInt() else 0
        first.hear(pcm.copyOf(pcm.size + missing), last) { outputs ->
            val length = outputs.ints(Names.LENGTH)[0]
            if (second == null) {
                assembler.add(found(outputs, length))
            } else {
                pending.add(Pending(length, readTokens(outputs)))
                correct(second, outputs.floats(Names.ENCODED).copyOf(length * second.width), last = false)
            }
        }
        if (last && second != null) correct(second, FloatArray(0), last = true)
        if (last && search != null) assembler.add(search.finish())
    }

    /** Gives the second pass frames of the first, whose words give way to its own. */
    private fun correct(second: Pass, encoded: FloatArray, last: Boolean) {
        second.hear(encoded, last) { outputs ->
            assembler.add(found(outputs, second.length))
            var frames = second.segment
            while (pending.isNotEmpty() && frames > 0) frames -= pending.removeAt(0).frames
        }
    }

    /** Tokens of the last pass that are final after a segment of so many frames. */
    private fun found(outputs: Map<String, Tensor>, length: Int): List<Token> =
        if (search == null) {
            readTokens(outputs)
        } else {
            search.hear(Frames.of(outputs.getValue(Names.ENCODED) as FloatTensor, length))
        }

    /** Tokens that are not final. */
    private fun following(): List<Token> =
        (search?.waiting ?: emptyList()) + pending.flatMap { it.tokens }

    private fun result(): PartialResult {
        val seconds = begun.toDouble() / sampleRate
        return PartialResult(
            finalText = assembler.text(),
            text = assembler.text(following()),
            finalWords = assembler.wordsWith().map { it.copy(start = it.start + seconds, end = it.end + seconds) },
            endpoint = endpoint
        )
    }
}

/** Samples in -1..1, louder ones clipped. */
internal fun checked(pcm: FloatArray): FloatArray {
    // NaN is in no range.
    if (!pcm.all { it in -MAX_PEAK..MAX_PEAK }) {
        throw UserError("The samples must be in -1..1; divide 16-bit samples by 32768.")
    }
    return FloatArray(pcm.size) { pcm[it].coerceIn(-1.0f, 1.0f) }
}
