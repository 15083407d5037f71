package org.int4conformer.app

import android.annotation.SuppressLint
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import java.io.Closeable
import org.int4conformer.lite.UserError

private const val PART_SECONDS = 0.1

// Audio that waits while a segment is recognised, or the phone is busy with something else.
private const val BUFFER_SECONDS = 10
private const val BYTES_A_SAMPLE = 4

/** The microphone, mono, at a rate in Hz. The app must have been given RECORD_AUDIO. */
class Microphone(sampleRate: Int) : Closeable {
    private val part = FloatArray((PART_SECONDS * sampleRate).toInt())
    private val record = opened(sampleRate)

    /** Waits for what is said next, at most a tenth of a second. */
    fun read(): FloatArray {
        val count = record.read(part, 0, part.size, AudioRecord.READ_BLOCKING)
        if (count < 0) {
            throw UserError("The microphone has stopped (error $count); close other apps that record.")
        }
        return part.copyOf(count)
    }

    override fun close() {
        record.stop()
        record.release()
    }

    private companion object {
        @SuppressLint("MissingPermission")
        fun opened(sampleRate: Int): AudioRecord {
            val record = AudioRecord(
                MediaRecorder.AudioSource.VOICE_RECOGNITION,
                sampleRate,
                AudioFormat.CHANNEL_IN_MONO,
                AudioFormat.ENCODING_PCM_FLOAT,
                BUFFER_SECONDS * sampleRate * BYTES_A_SAMPLE
            )
            if (record.state != AudioRecord.STATE_INITIALIZED) {
                record.release()
                throw UserError("The microphone cannot be opened at $sampleRate Hz; close other apps that record.")
            }
            record.startRecording()
            return record
        }
    }
}
