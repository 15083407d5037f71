package org.int4conformer.lite

import java.util.ArrayDeque
import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.log10
import kotlin.math.roundToInt
import kotlin.math.sin
import kotlin.math.sqrt

// What a level has to stand out by from the noise floor, and what counts as silence.
private const val MARGIN_DB = 7.0
private const val LEAST_DB = -85.0

// Blocks of 10 ms: of a spectrum, of a level, of the noise floor, and of an utterance too short to
// have one.
private const val WINDOW = 2
private const val SMOOTHED = 5
private const val REMEMBERED = 60
private const val TOO_SHORT = 60

private const val LOWEST_HZ = 300.0
private const val HIGHEST_HZ = 1000.0

/**
 * Hears a stream, and says when there was last what may be speech.
 *
 * The level of speech between 300 and 1000 Hz goes up and down by 20 dB with each syllable; that of
 * steady noise stays within 3 dB. So audio is active where this level stands out from the lowest one
 * of the last 0.6 s. It is measured in the differences of neighbouring samples, in which rumble is
 * quiet as well.
 */
class SpeechActivity(sampleRate: Int) {
    private val band = Band(sampleRate / 100)
    // The last sample, null at the start, and the differences that further windows begin with.
    private var before: Float? = null
    private var rest = DoubleArray(0)
    private val squares = ArrayDeque<Double>()
    private val levels = ArrayDeque<Double>()
    private var blocks = 0

    /** Seconds from the first sample to the end of the last active block; null if none was. */
    var lastActive: Double? = null
        private set

    /** Hears what follows. */
    fun hear(pcm: FloatArray) {
        if (pcm.isEmpty()) return
        val all = rest + differences(before ?: pcm[0], pcm)
        val squares = band.squares(all)
        before = pcm.last()
        rest = all.copyOfRange(squares.size * band.block, all.size)
        for (square in squares) add(square)
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
        if (level >= floor + MARGIN_DB) lastActive = (blocks + WINDOW - 1) * 0.01
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
    val differences = if (pcm.isEmpty()) DoubleArray(0) else differences(pcm[0], pcm)
    val squares = Band(sampleRate / 100).squares(differences)
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

/** Of each sample from the one before it. */
private fun differences(before: Float, pcm: FloatArray): DoubleArray =
    DoubleArray(pcm.size) { place ->
        (pcm[place] - (if (place == 0) before else pcm[place - 1])).toDouble()
    }

/** What lies between 300 and 1000 Hz. */
private class Band(val block: Int) {
    private val size = WINDOW * block
    private val waves: List<DoubleArray>

    init {
        val hann = DoubleArray(size) { 0.5 - 0.5 * cos(2.0 * PI * it / size) }
        // So that the sum of squares of all waves up to half the rate would be the mean square.
        val scale = sqrt(2.0 / size / hann.map { it * it }.sum())
        // A window of 20 ms holds whole periods of every multiple of 50 Hz.
        val step = 100.0 / WINDOW
        val cycles = (LOWEST_HZ / step).roundToInt()..(HIGHEST_HZ / step).roundToInt()
        waves = listOf<(Double) -> Double>(::cos, ::sin).flatMap { wave ->
            cycles.map { cycle ->
                DoubleArray(size) { scale * hann[it] * wave(2.0 * PI * it * cycle / size) }
            }
        }
    }

    /** Mean square of the band in each window of 20 ms, one every 10 ms. */
    fun squares(differences: DoubleArray): DoubleArray {
        val windows = maxOf(differences.size / block - WINDOW + 1, 0)
        return DoubleArray(windows) { number ->
            waves.map { wave ->
                var sum = 0.0
                for (place in 0 until size) sum += wave[place] * differences[number * block + place]
                sum * sum
            }.sum()
        }
    }
}

private fun decibels(square: Double): Double = 10.0 * log10(square + 1e-12)
