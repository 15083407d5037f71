package org.int4conformer.lite

import java.util.ArrayDeque
import kotlin.math.log10

// What a level has to stand out by from the noise floor, and what counts as silence.
private const val MARGIN_DB = 6.0
private const val LEAST_DB = -75.0

// Blocks of 10 ms: of a level, of the noise floor, and of an utterance too short to have one.
private const val SMOOTHED = 5
private const val REMEMBERED = 150
private const val TOO_SHORT = 60

/**
 * Hears a stream, and says when there was last what may be speech.
 *
 * Speech goes up and down by 20 dB within a second; steady noise stays within 3 dB. So audio is
 * active where its level stands out from the lowest one of the last one and a half. Levels are those
 * of the differences of neighbouring samples: thereby what rumbles is quiet.
 */
class SpeechActivity(sampleRate: Int) {
    private val block = sampleRate / 100
    // The last sample; null at the start.
    private var before: Float? = null
    private var rest = FloatArray(0)
    private val squares = ArrayDeque<Double>()
    private val levels = ArrayDeque<Double>()
    private var blocks = 0

    /** Seconds from the first sample to the end of the last active block; null if none was. */
    var lastActive: Double? = null
        private set

    /** Hears what follows. */
    fun hear(pcm: FloatArray) {
        val all = rest + pcm
        val whole = all.size / block * block
        if (whole > 0) for (square in squares(before ?: all[0], all, block)) add(square)
        if (whole > 0) before = all[whole - 1]
        rest = all.copyOfRange(whole, all.size)
    }

    private fun add(square: Double) {
        blocks++
        keep(squares, square, SMOOTHED)
        if (squares.size < SMOOTHED) return
        // A recorder's zeros are no floor: whatever comes after them would stand out.
        if (squares.any { it == 0.0 }) return
        val level = maxOf(decibels(squares.sum() / SMOOTHED), LEAST_DB)
        keep(levels, level, REMEMBERED)
        val floor = levels.fold(level) { lowest, other -> minOf(lowest, other) }
        if (level >= floor + MARGIN_DB) lastActive = blocks * 0.01
    }

    private fun keep(queue: ArrayDeque<Double>, value: Double, most: Int) {
        queue.addLast(value)
        if (queue.size > most) queue.removeFirst()
    }
}

/**
 * Whether a whole utterance holds more than silence and steady noise.
 *
 * Of less than 0.6 s, where all may be one vowel, only the loudness counts.
 */
fun mayHoldSpeech(pcm: FloatArray, sampleRate: Int): Boolean {
    val squares = squares(if (pcm.isEmpty()) 0.0f else pcm[0], pcm, sampleRate / 100)
    // Too short even for a level.
    if (squares.size < SMOOTHED) return pcm.any { it != 0.0f }
    val levels = squares.toList().windowed(SMOOTHED)
        .filter { window -> window.none { it == 0.0 } }
        .map { window -> maxOf(decibels(window.sum() / SMOOTHED), LEAST_DB) }
    if (squares.size < TOO_SHORT || levels.isEmpty()) return levels.any { it > LEAST_DB }
    // What stands out does so from a floor before it or behind it.
    val parts = levels.chunked(REMEMBERED / 2)
    val lowest = parts.map { part -> part.fold(part[0]) { least, level -> minOf(least, level) } }
    return parts.withIndex().any { (place, part) ->
        val around = lowest.subList(maxOf(place - 2, 0), minOf(place + 3, lowest.size))
        val floor = around.fold(around[0]) { least, level -> minOf(least, level) }
        part.any { it >= floor + MARGIN_DB }
    }
}

/** Mean square of the differences of neighbours in each whole block. */
private fun squares(before: Float, pcm: FloatArray, block: Int): DoubleArray =
    DoubleArray(pcm.size / block) { number ->
        var sum = 0.0
        for (place in number * block until (number + 1) * block) {
            val step = (pcm[place] - (if (place == 0) before else pcm[place - 1])).toDouble()
            sum += step * step
        }
        sum / block
    }

private fun decibels(square: Double): Double = 10.0 * log10(square + 1e-12)
