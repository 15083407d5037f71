package android.media;

public class AudioRecord {
    public static final int READ_BLOCKING = 0;
    public static final int STATE_INITIALIZED = 1;
    public AudioRecord(int source, int sampleRate, int channels, int format, int bufferSize) {}
    public native int read(float[] data, int offset, int size, int mode);
    public native int getState();
    public native void startRecording();
    public native void stop();
    public native void release();
}
