package org.int4conformer.lite.file

import java.nio.ByteBuffer

/**
 * A table of a flatbuffer.
 *
 * A table begins with the distance back to its list of field offsets; a field that is absent has
 * offset 0. Fields are named by their number in the schema.
 */
internal class Table(private val buffer: ByteBuffer, private val start: Int) {
    private val fields = start - buffer.getInt(start)

    companion object {
        /** The table at the root of a little-endian buffer. */
        fun root(buffer: ByteBuffer) = Table(buffer, buffer.getInt(0))
    }

    fun int(field: Int): Int = at(field)?.let { buffer.getInt(it) } ?: 0

    fun long(field: Int): Long = at(field)?.let { buffer.getLong(it) } ?: 0L

    fun byte(field: Int): Int = at(field)?.let { buffer.get(it).toInt() } ?: 0

    fun string(field: Int): String? = span(field)?.bytes(buffer)?.toString(Charsets.UTF_8)

    /** Where the bytes of a string or of a vector of bytes are. */
    fun span(field: Int): Span? = vector(field)?.let { Span(it + 4, buffer.getInt(it)) }

    fun ints(field: Int): List<Int> {
        val vector = vector(field) ?: return emptyList()
        return List(buffer.getInt(vector)) { buffer.getInt(vector + 4 + 4 * it) }
    }

    fun tables(field: Int): List<Table> {
        val vector = vector(field) ?: return emptyList()
        return List(buffer.getInt(vector)) {
            val place = vector + 4 + 4 * it
            Table(buffer, place + buffer.getInt(place))
        }
    }

    private fun vector(field: Int): Int? = at(field)?.let { it + buffer.getInt(it) }

    private fun at(field: Int): Int? {
        val entry = 4 + 2 * field
        if (entry >= buffer.getShort(fields)) return null
        val offset = buffer.getShort(fields + entry).toInt()
        return if (offset == 0) null else start + offset
    }
}

/** Some bytes of a buffer. */
internal class Span(val start: Int, val size: Int) {
    val end: Int
        get() = start + size

    fun bytes(buffer: ByteBuffer): ByteArray {
        val bytes = ByteArray(size)
        val view = buffer.duplicate()
        view.position(start)
        view.get(bytes)
        return bytes
    }
}
