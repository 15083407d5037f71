"""Speech from text: several synthesisers behind one function, and more speakers than they have.

`speakers.speak` is the function; importing this package loads no module.
"""
