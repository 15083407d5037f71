@file:Suppress("UNUSED_PARAMETER")

package org.tensorflow.lite

import java.nio.ByteBuffer
import java.nio.FloatBuffer
import java.nio.IntBuffer
import stubs.Answers

class Interpreter(content: ByteBuffer, options: Options) : AutoCloseable {
    init {
        require(content.isDirect)
        Answers.usesXnnpack = options.usesXnnpack
    }

    class Options {
        internal var usesXnnpack = true

        fun setNumThreads(threads: Int) = this

        fun setUseXNNPACK(use: Boolean): Options {
            usesXnnpack = use
            return this
        }
    }

    fun runSignature(inputs: Map<String, Any>, outputs: Map<String, Any>, signature: String) {
        val given = inputs.mapValues { (it.value as? FloatBuffer)?.array() ?: (it.value as IntBuffer).array() }
        val answers = Answers.of(signature, given)
        for ((name, buffer) in outputs) {
            when (buffer) {
                is FloatBuffer -> buffer.put(answers.getValue(name) as FloatArray)
                is IntBuffer -> buffer.put(answers.getValue(name) as IntArray)
            }
        }
    }

    override fun close() = Unit
}
