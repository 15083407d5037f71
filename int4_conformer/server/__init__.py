"""A recogniser as a server, over HTTP and WebSockets; on the light runtime, without TensorFlow."""
