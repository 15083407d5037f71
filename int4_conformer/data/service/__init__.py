"""Input work done by other processes, on this machine or others.

tf.data's own service sends a graph to its workers, and a pipeline that decodes and augments in
Python is none. Here workers build the same `InputPipeline` from the same settings and make whole
batches by their numbers. Any worker can make any batch, so it does not matter which does, whether
one is killed, or where a run goes on: the batches are those that the training would have made.
"""
