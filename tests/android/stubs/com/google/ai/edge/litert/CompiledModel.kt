@file:Suppress("UNUSED_PARAMETER")

package com.google.ai.edge.litert

import android.content.res.AssetManager
import stubs.Answers

enum class Accelerator { NONE, CPU, GPU, NPU }

class TensorBuffer internal constructor() : AutoCloseable {
    internal var values: Any = FloatArray(0)

    fun writeInt(data: IntArray) {
        values = data.copyOf()
    }

    fun writeFloat(data: FloatArray) {
        values = data.copyOf()
    }

    fun readInt(): IntArray = values as IntArray

    fun readFloat(): FloatArray = values as FloatArray

    override fun close() = Unit
}

class Environment internal constructor() : AutoCloseable {
    override fun close() = Unit
}

class CompiledModel internal constructor() : AutoCloseable {
    data class CpuOptions constructor(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null
    )

    class Options constructor(vararg accelerators: Accelerator) {
        var cpuOptions: CpuOptions? = null
    }

    fun createInputBuffer(inputName: String, signature: String? = null) = TensorBuffer()

    fun createOutputBuffer(outputName: String, signature: String? = null) = TensorBuffer()

    fun run(
        inputs: Map<String, TensorBuffer>,
        outputs: Map<String, TensorBuffer>,
        signature: String? = null
    ) {
        val answers = Answers.of(signature!!, inputs.mapValues { it.value.values })
        for ((name, buffer) in outputs) buffer.values = answers.getValue(name)
    }

    override fun close() = Unit

    companion object {
        fun create(filePath: String, options: Options, optionalEnv: Environment? = null) = CompiledModel()

        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options,
            optionalEnv: Environment? = null
        ) = CompiledModel()
    }
}
