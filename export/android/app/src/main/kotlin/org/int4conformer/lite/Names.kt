package org.int4conformer.lite

/**
 * The names that a file and those who run it share, as `int4_conformer/interface.py` has them.
 *
 * A test of the Python package compares them with that module.
 */
object Names {
    // Signatures.
    const val SERVING_DEFAULT = "serving_default"
    const val FIRST_PASS = "first_pass"
    const val SECOND_PASS = "second_pass"
    const val ENCODE = "encode"
    const val PREDICT = "predict"
    const val JOIN = "join"

    // Inputs and outputs.
    const val PCM = "pcm"
    const val LENGTH = "length"
    const val ENCODED = "encoded"
    const val LABEL = "label"
    const val PREDICTED = "predicted"
    const val LOGITS = "logits"
    const val TOKENS = "tokens"
    const val COUNT = "count"
    const val FRAMES = "frames"
    const val LOG_PROBS = "log_probs"
}
