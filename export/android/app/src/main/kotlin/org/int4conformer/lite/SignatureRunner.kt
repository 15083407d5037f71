package org.int4conformer.lite

import java.io.Closeable

/**
 * Runs the signatures of a file.
 *
 * Behind it are LiteRT's Interpreter, LiteRT's CompiledModel, or a test's recording.
 */
interface SignatureRunner : Closeable {
    /** The outputs of a signature by name; the inputs are of the shapes that the file says. */
    fun run(signature: String, inputs: Map<String, Tensor>): Map<String, Tensor>
}
