package android.view;

public class View {
    public static final int FOCUS_DOWN = 130;
    public interface OnClickListener {
        void onClick(View view);
    }
    public native void setOnClickListener(OnClickListener listener);
    public native boolean post(Runnable action);
}
