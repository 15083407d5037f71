package org.int4conformer.lite

import kotlin.math.log10

// Of the quietest sound that a meter shows, in decibels of full scale.
private const val LEAST_DB = -60.0

/** How loud some samples are, from 0 for silence to 1 for full scale, as people hear it. */
fun level(pcm: FloatArray): Double {
    if (pcm.isEmpty()) return 0.0
    var sum = 0.0
    for (sample in pcm) sum += sample.toDouble() * sample
    val decibels = 10.0 * log10(sum / pcm.size + 1e-12)
    return ((decibels - LEAST_DB) / -LEAST_DB).coerceIn(0.0, 1.0)
}
