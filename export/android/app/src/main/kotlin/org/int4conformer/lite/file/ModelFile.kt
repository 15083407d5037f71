package org.int4conformer.lite.file

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.security.MessageDigest
import org.int4conformer.lite.SignatureSpec
import org.int4conformer.lite.TensorSpec
import org.int4conformer.lite.UserError

/**
 * What a `.tflite` file says about itself, once its checksum was found right.
 *
 * @property content the file, little-endian, mapped into memory.
 * @property metadata what the entry "int4_conformer" says.
 * @property signatures names, types and shapes of what the file computes.
 * @property checksum its SHA-256, in hexadecimal digits.
 */
class ModelFile private constructor(
    val content: ByteBuffer,
    val metadata: Metadata,
    val signatures: Map<String, SignatureSpec>,
    val checksum: String
) {
    companion object {
        /** Reads a file; throws a [UserError] if it is missing, damaged or no recogniser. */
        fun read(file: File): ModelFile {
            val content =
                try {
                    RandomAccessFile(file, "r").use {
                        it.channel.map(FileChannel.MapMode.READ_ONLY, 0, it.length())
                    }
                } catch (error: IOException) {
                    throw UserError("The model file $file cannot be read; check the path.", error)
                }
            return of(content, file.name)
        }

        /**
         * Reads a file's content.
         *
         * @param source what errors call it.
         */
        fun of(content: ByteBuffer, source: String): ModelFile {
            val bytes = content.duplicate().order(ByteOrder.LITTLE_ENDIAN)
            if (bytes.limit() < 8 || bytes.getInt(4) != IDENTIFIER) {
                throw UserError("$source is not a TFLite model; give a .tflite file.")
            }
            val entry: Span?
            val text: String
            val signatures: Map<String, SignatureSpec>
            try {
                val model = Table.root(bytes)
                entry = entry(model)
                text = entry?.bytes(bytes)?.toString(Charsets.UTF_8) ?: ""
                signatures = signatures(model)
            } catch (error: RuntimeException) {
                // Offsets are followed unchecked: damage surfaces as any of them.
                throw damaged(source, error)
            }
            if (entry == null) {
                throw UserError(
                    "$source is a TFLite model but not a recogniser of int4-conformer; give a " +
                        "file that `int4-conformer export` wrote."
                )
            }
            val checksum = verified(bytes, entry, source)
            return ModelFile(bytes, Metadata.of(text, source), signatures, checksum)
        }

        /** Where the metadata entry lies; null if there is none. */
        private fun entry(model: Table): Span? {
            val found = model.tables(METADATA).firstOrNull { it.string(0) == Metadata.NAME }
            val buffer = model.tables(BUFFERS)[(found ?: return null).int(1)]
            val offset = buffer.long(1)
            // An offset of 0 or 1 is the schema's mark that there is none: large files hold their
            // buffers behind the flatbuffer.
            if (offset <= 1) return buffer.span(0)
            return Span(offset.toInt(), buffer.long(2).toInt())
        }

        private fun signatures(model: Table): Map<String, SignatureSpec> {
            val subgraphs = model.tables(SUBGRAPHS)
            return model.tables(SIGNATURES).associate { signature ->
                val tensors = subgraphs[signature.int(4)].tables(0)
                fun specs(field: Int) =
                    signature.tables(field).associate { (it.string(0) ?: "") to spec(tensors[it.int(1)]) }
                (signature.string(2) ?: "") to SignatureSpec(specs(0), specs(1))
            }
        }

        private fun spec(tensor: Table): TensorSpec {
            val type = if (tensor.byte(1) == INT32) TensorSpec.Type.INT32 else TensorSpec.Type.FLOAT32
            return TensorSpec(type, tensor.ints(0))
        }

        /** Compares the SHA-256 that ends the entry with that of the file without it. */
        private fun verified(bytes: ByteBuffer, entry: Span, source: String): String {
            val end = entry.end - END.length
            val start = end - DIGITS
            val digest = MessageDigest.getInstance("SHA-256")
            digest.update(part(bytes, 0, start))
            digest.update(ByteArray(DIGITS) { ZERO })
            digest.update(part(bytes, end, bytes.limit()))
            val computed = digest.digest().joinToString("") { "%02x".format(it) }
            if (Span(start, DIGITS).bytes(bytes).toString(Charsets.US_ASCII) != computed) {
                throw UserError(
                    "$source is damaged: its SHA-256 is not the one sealed into it; copy or " +
                        "export the file again."
                )
            }
            return computed
        }

        private fun part(bytes: ByteBuffer, start: Int, end: Int): ByteBuffer {
            val part = bytes.duplicate()
            part.limit(end)
            part.position(start)
            return part
        }

        private fun damaged(source: String, cause: Throwable) =
            UserError("$source is a truncated or damaged TFLite model; copy or export the file again.", cause)

        private const val IDENTIFIER = 0x334c4654 // "TFL3", read as a little-endian number.
        private const val END = "\"}"
        private const val DIGITS = 64
        private const val ZERO: Byte = 0x30

        // Fields of the schema's root table, and one of its tensor types.
        private const val SUBGRAPHS = 2
        private const val BUFFERS = 4
        private const val METADATA = 6
        private const val SIGNATURES = 7
        private const val INT32 = 2
    }
}
