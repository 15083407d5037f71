package android.content.res;

public class TypedArray {
    public native int getColor(int index, int defaultValue);
    public native void recycle();
}
