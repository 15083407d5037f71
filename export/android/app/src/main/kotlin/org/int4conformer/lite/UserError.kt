package org.int4conformer.lite

/** Something that a person can put right; the message is one sentence that says how. */
class UserError(message: String, cause: Throwable? = null) : Exception(message, cause)
