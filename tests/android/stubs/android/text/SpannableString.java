package android.text;

public class SpannableString implements Spanned {
    public SpannableString(CharSequence source) {}
    public native void setSpan(Object what, int start, int end, int flags);
    public native char charAt(int index);
    public native int length();
    public native CharSequence subSequence(int start, int end);
}
