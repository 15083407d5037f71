"""A worker that dies of some recordings; in a module of its own, for processes to import."""

import os
import signal


def work(parent, model, config):
    parent.send(None)
    while True:
        try:
            task = parent.recv()
        except EOFError:
            return
        if "deadly" in task[0].audio:
            os.kill(os.getpid(), signal.SIGKILL)
        parent.send([{"audio": recording.audio} for recording in task])


def never_ready(parent, model, config):
    raise SystemExit(3)
