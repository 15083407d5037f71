/** The JSON text of maps, lists, numbers, strings, booleans and null. */
fun jsonText(value: Any?): String =
    when (value) {
        is Map<*, *> -> value.entries.joinToString(",", "{", "}") { jsonText(it.key) + ":" + jsonText(it.value) }
        is List<*> -> value.joinToString(",", "[", "]") { jsonText(it) }
        is String -> value.map { escaped(it) }.joinToString("", "\"", "\"")
        else -> value.toString()
    }

private fun escaped(character: Char): String =
    when (character) {
        '"', '\\' -> "\\$character"
        else -> if (character in ' '..'~') "$character" else "\\u%04x".format(("$character").codePointAt(0))
    }
