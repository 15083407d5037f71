package org.tensorflow.lite;

public final class Interpreter implements AutoCloseable {
    public static class Options {
        public native Options setNumThreads(int threads);
        public native Options setUseXNNPACK(boolean use);
    }
    public Interpreter(java.nio.ByteBuffer content, Options options) {}
    public native void runSignature(java.util.Map<String, Object> inputs, java.util.Map<String, Object> outputs, String signature);
    public native void close();
}
