package org.int4conformer.lite.file

import org.int4conformer.lite.UserError

/**
 * Reads JSON: objects become maps, arrays lists, numbers doubles.
 *
 * The kit has its own reader so that it runs the same on Android and on a plain JVM.
 */
class Json private constructor(private val text: String) {
    private var place = 0

    companion object {
        /** The value of a document. */
        fun parse(text: String): Any? {
            val reader = Json(text)
            val value = reader.value()
            reader.space()
            if (reader.place < text.length) throw reader.error("ends before its text does")
            return value
        }
    }

    private fun value(): Any? {
        space()
        if (place >= text.length) throw error("ends too soon")
        return when (text[place]) {
            '{' -> objectValue()
            '[' -> arrayValue()
            '"' -> string()
            else -> word()
        }
    }

    private fun objectValue(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        place++
        if (takes('}')) return fields
        do {
            space()
            if (place >= text.length || text[place] != '"') throw error("lacks the name of a field")
            val name = string()
            if (!takes(':')) throw error("lacks a colon")
            fields[name] = value()
        } while (takes(','))
        if (!takes('}')) throw error("has an object that is not closed")
        return fields
    }

    private fun arrayValue(): List<Any?> {
        val items = ArrayList<Any?>()
        place++
        if (takes(']')) return items
        do {
            items.add(value())
        } while (takes(','))
        if (!takes(']')) throw error("has an array that is not closed")
        return items
    }

    private fun string(): String {
        val characters = StringBuilder()
        place++
        while (true) {
            if (place >= text.length) throw error("has a string that is not closed")
            val character = text[place++]
            if (character == '"') return characters.toString()
            characters.append(if (character == '\\') escaped() else character)
        }
    }

    private fun escaped(): Char {
        if (place >= text.length) throw error("has a string that is not closed")
        val character = text[place++]
        return when (character) {
            'n' -> '\n'
            't' -> '\t'
            'r' -> '\r'
            'b' -> '\b'
            'f' -> '\u000c'
            'u' -> {
                val digits = text.substring(place, minOf(place + 4, text.length))
                place += 4
                digits.toIntOrNull(16)?.toChar() ?: throw error("has an escape that is none")
            }
            else -> character
        }
    }

    /** A number or a constant; Python also writes the three that JSON does not have. */
    private fun word(): Any? {
        val start = place
        while (place < text.length && text[place] !in ",]} \t\r\n") place++
        val word = text.substring(start, place)
        return when (word) {
            "null" -> null
            "true" -> true
            "false" -> false
            "NaN" -> Double.NaN
            "Infinity" -> Double.POSITIVE_INFINITY
            "-Infinity" -> Double.NEGATIVE_INFINITY
            else -> word.toDoubleOrNull() ?: throw error("has the word \"$word\"")
        }
    }

    private fun takes(character: Char): Boolean {
        space()
        if (place >= text.length || text[place] != character) return false
        place++
        return true
    }

    private fun space() {
        while (place < text.length && text[place] in " \t\r\n") place++
    }

    private fun error(what: String) = UserError("The JSON text $what at character $place.")
}
