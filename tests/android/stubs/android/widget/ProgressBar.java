package android.widget;

public class ProgressBar extends android.view.View {
    public native int getProgress();
    public native void setProgress(int progress);
}
