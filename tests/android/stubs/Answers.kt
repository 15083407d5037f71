package stubs

/** What LiteRT computes where a test runs: of a signature and its inputs by name, all arrays. */
object Answers {
    var of: (String, Map<String, Any>) -> Map<String, Any> = { _, _ -> TODO() }

    /** Whether the interpreter was told to use XNNPACK. */
    var usesXnnpack: Boolean? = null
}
