package org.int4conformer.lite

/** Frames of an encoder, one after another. */
class Frames(private val values: FloatArray, val width: Int) {
    val size: Int
        get() = values.size / width

    /** The values of a frame. */
    operator fun get(place: Int): FloatArray = values.copyOfRange(place * width, (place + 1) * width)

    companion object {
        /** The first frames of an output `[time, dim]` or `[1, time, dim]`. */
        internal fun of(encoded: FloatTensor, length: Int): Frames {
            val width = encoded.shape.last()
            return Frames(encoded.values.copyOf(length * width), width)
        }
    }
}
