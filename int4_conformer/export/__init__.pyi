from .keras_tflite import export_keras_tflite as export_keras_tflite
from .recognizer_tflite import export_tflite as export_tflite
from .recognizer_verification import verify_recognizer as verify_recognizer
from .saved_model import export_saved_model as export_saved_model
