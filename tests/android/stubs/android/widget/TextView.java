package android.widget;

public class TextView extends android.view.View {
    public native CharSequence getText();
    public final native void setText(CharSequence text);
    public final native void setText(int id);
    public final native void append(CharSequence text);
    public final native int getCurrentTextColor();
}
