package org.int4conformer.lite.search

import org.int4conformer.lite.Names
import org.int4conformer.lite.FloatTensor
import org.int4conformer.lite.IntTensor
import org.int4conformer.lite.SignatureSpec
import org.int4conformer.lite.Tensor
import org.int4conformer.lite.TensorSpec
import org.int4conformer.lite.floats
import org.int4conformer.lite.sizeOf

/**
 * What the prediction network says after some labels.
 *
 * @property output a row of its output.
 * @property state the network's state, to go on from.
 */
class Prediction internal constructor(val output: FloatArray, internal val state: Map<String, Tensor>) {
    /** Log-probabilities of frames of the segment, from [firstFrame] on. */
    internal var logProbs: List<DoubleArray>? = null
    internal var firstFrame = 0

    internal fun knows(time: Int): Boolean = logProbs?.let { time - firstFrame in it.indices } ?: false
}

/** The prediction and joint networks of a recogniser. */
interface Network {
    /** How many pairs of a frame and a prediction it computes at once. */
    val rows: Int

    /** Predictions after one more label each; before the first label, 0, there is null. */
    fun predict(labels: List<Int>, before: List<Prediction?>): List<Prediction>

    /** Of each pair of a frame and a prediction's output the logits of all symbols. */
    fun logits(frames: List<FloatArray>, outputs: List<FloatArray>): List<FloatArray>
}

/**
 * The networks of a file.
 *
 * @param run runs a signature.
 * @param spec of the signature that predicts.
 */
class FileNetwork(
    private val run: (String, Map<String, Tensor>) -> Map<String, Tensor>,
    private val spec: SignatureSpec
) : Network {
    override val rows = spec.inputs.getValue(Names.LABEL).shape[0]

    private val states = spec.inputs - Names.LABEL
    private val start = states.mapValues { TensorSpec(it.value.type, it.value.shape.drop(1)).zeros() }

    override fun predict(labels: List<Int>, before: List<Prediction?>): List<Prediction> {
        val predictions = ArrayList<Prediction>()
        for (part in parts(labels.size)) {
            val given = LinkedHashMap<String, Tensor>()
            val ids = IntArray(rows)
            part.forEachIndexed { row, place -> ids[row] = labels[place] }
            given[Names.LABEL] = IntTensor(listOf(rows), ids)
            for ((name, state) in states) {
                given[name] = stacked(state, part.map { (before[it]?.state ?: start).getValue(name) })
            }
            val outputs = run(Names.PREDICT, given)
            part.forEachIndexed { row, _ ->
                val predicted = outputs.getValue(Names.PREDICTED)
                val state = start.mapValues { row(outputs.getValue(it.key), row) }
                predictions.add(Prediction((row(predicted, row) as FloatTensor).values, state))
            }
        }
        return predictions
    }

    override fun logits(frames: List<FloatArray>, outputs: List<FloatArray>): List<FloatArray> {
        val logits = ArrayList<FloatArray>()
        for (part in parts(frames.size)) {
            val given = mapOf(
                Names.ENCODED to padded(frames.slice(part)),
                Names.PREDICTED to padded(outputs.slice(part))
            )
            val values = run(Names.JOIN, given).floats(Names.LOGITS)
            val width = values.size / rows
            part.forEachIndexed { row, _ -> logits.add(values.copyOfRange(row * width, (row + 1) * width)) }
        }
        return logits
    }

    private fun parts(count: Int): List<IntRange> =
        (0 until count step rows).map { it until minOf(it + rows, count) }

    /** With rows of zeros up to the size of a call. */
    private fun padded(values: List<FloatArray>): FloatTensor {
        val width = values[0].size
        val all = FloatArray(rows * width)
        values.forEachIndexed { row, value -> value.copyInto(all, row * width) }
        return FloatTensor(listOf(rows, width), all)
    }

    private fun stacked(spec: TensorSpec, states: List<Tensor>): Tensor {
        val all = spec.zeros()
        for ((row, state) in states.withIndex()) {
            when (all) {
                is FloatTensor -> (state as FloatTensor).values.copyInto(all.values, row * all.rowSize)
                is IntTensor -> (state as IntTensor).values.copyInto(all.values, row * all.rowSize)
            }
        }
        return all
    }

    private fun row(tensor: Tensor, row: Int): Tensor {
        val shape = tensor.shape.drop(1)
        val size = sizeOf(shape)
        return when (tensor) {
            is FloatTensor -> FloatTensor(shape, tensor.values.copyOfRange(row * size, (row + 1) * size))
            is IntTensor -> IntTensor(shape, tensor.values.copyOfRange(row * size, (row + 1) * size))
        }
    }
}
