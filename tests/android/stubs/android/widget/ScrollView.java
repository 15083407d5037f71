package android.widget;

public class ScrollView extends android.view.View {
    public native boolean fullScroll(int direction);
}
