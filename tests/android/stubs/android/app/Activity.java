package android.app;

public class Activity extends android.content.Context {
    protected native void onCreate(android.os.Bundle savedInstanceState);
    protected native void onStop();
    public native void onRequestPermissionsResult(int requestCode, String[] permissions, int[] grantResults);
    public native void setContentView(int layout);
    public native <T extends android.view.View> T findViewById(int id);
    public final native void requestPermissions(String[] permissions, int requestCode);
    public native boolean shouldShowRequestPermissionRationale(String permission);
    public native android.content.Intent getIntent();
    public native android.view.Window getWindow();
    public final native void runOnUiThread(Runnable action);
    public native void startActivity(android.content.Intent intent);
}
