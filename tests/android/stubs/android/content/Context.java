package android.content;

public abstract class Context {
    public native Context getApplicationContext();
    public native android.content.res.AssetManager getAssets();
    public native java.io.File getCacheDir();
    public native java.io.File getFilesDir();
    public native String getPackageName();
    public native int checkSelfPermission(String permission);
    public final native String getString(int id);
    public final native String getString(int id, Object... arguments);
    public final native android.content.res.TypedArray obtainStyledAttributes(int[] attributes);
}
