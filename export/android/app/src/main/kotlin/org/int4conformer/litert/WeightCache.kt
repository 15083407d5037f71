package org.int4conformer.litert

import java.io.File

/**
 * Where LiteRT keeps a model's weights in the order that its kernels want: only a first start has to
 * make it.
 *
 * What an interrupted start may have left half-written is deleted, as is what other models left.
 *
 * @param folder holds caches and nothing else.
 * @param checksum of the model.
 */
class WeightCache(private val folder: File, private val checksum: String) {
    /** Calls `start` with the path of the cache, which it writes, or reads if it is there. */
    fun <T> use(start: (String) -> T): T {
        val cache = File(folder, "$checksum.weights")
        val begun = File(folder, "$checksum.begun")
        val isWhole = !begun.exists()
        folder.mkdirs()
        folder.listFiles().orEmpty().filterNot { isWhole && it == cache }.forEach { it.delete() }
        begun.createNewFile()
        return start(cache.path).also { begun.delete() }
    }
}
