package org.int4conformer.app

import org.int4conformer.lite.PartialResult
import org.int4conformer.lite.level

/** What [Listener] tells, on its own thread. */
interface Hearing {
    fun onListening()

    fun onHeard(result: PartialResult, level: Double)

    /** Nothing more will be heard; [reason] is null where [Listener.stop] was called. */
    fun onEnded(reason: Reason?)
}

/** Why nothing can be heard. */
sealed class Reason {
    object NoModel : Reason()

    class Failure(val sentence: String) : Reason()
}

/** Loads the model and hears the microphone, on a thread of its own. */
class Listener(
    private val source: ModelSource,
    private val runtime: ModelSource.Runtime,
    private val hearing: Hearing
) {
    @Volatile
    private var isStopped = false
    private val thread = Thread({ hear() }, "listener")

    fun start() = thread.start()

    /** Stops soon; what was said until then is still told. */
    fun stop() {
        isStopped = true
    }

    private fun hear() {
        val reason =
            try {
                listen()
            } catch (error: Exception) {
                // Of this kit, whose sentence is for people, or of LiteRT where it cannot run a file.
                Reason.Failure(error.message ?: error.javaClass.name)
            }
        hearing.onEnded(reason)
    }

    private fun listen(): Reason? {
        val recognizer = source.open(runtime) ?: return Reason.NoModel
        recognizer.use {
            val stream = it.stream()
            Microphone(it.metadata.sampleRate).use { microphone ->
                hearing.onListening()
                while (!isStopped) {
                    val samples = microphone.read()
                    tell(stream.feed(samples), level(samples)) { stream.feed(FloatArray(0)) }
                }
            }
            tell(stream.finish(), 0.0) { stream.finish() }
        }
        return null
    }

    /** Tells a result, and those behind an endpoint. */
    private fun tell(first: PartialResult, level: Double, next: () -> PartialResult) {
        var result = first
        hearing.onHeard(result, level)
        while (result.endpoint != null) {
            result = next()
            hearing.onHeard(result, level)
        }
    }
}
