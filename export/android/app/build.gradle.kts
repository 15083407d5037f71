plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "org.int4conformer.app"
    compileSdk = 35

    defaultConfig {
        applicationId = "org.int4conformer.app"
        minSdk = 24
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    // The model is mapped into memory, which a compressed file cannot be.
    androidResources {
        noCompress += "tflite"
    }
}

kotlin {
    jvmToolchain(17)
}

dependencies {
    // Version 2.1.6 breaks builds: two of its libraries have one namespace.
    implementation("com.google.ai.edge.litert:litert:2.1.5")
}
