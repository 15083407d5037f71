"""Makes batches for trainings on other machines.

With --serve it is the dispatcher, which brings trainings and workers together; with
--dispatcher=HOST:PORT it is a worker, of which there may be any number. A training that is given
the dispatcher as --data_service=HOST:PORT has its audio decoded and augmented by the workers. They
read the corpus at the path that the training was given, and answer anybody who reaches their port,
so use them only on a network of your own (docs/corpora.md).
"""

import threading
from typing import TYPE_CHECKING

from absl import flags

from int4_conformer.cli import app, corpora
from int4_conformer.cli.flag_groups import GIVEN, MACHINE, group
from int4_conformer.cli.tensorflow_start import start_tensorflow
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.data.service.dispatcher import Dispatcher
from int4_conformer.data.service.wire import Message, address_of
from int4_conformer.errors import UserError
from int4_conformer.text.tokenizer import tokenizer_from_config
from int4_conformer.training.training_config import TrainingConfig

if TYPE_CHECKING:
    from int4_conformer.data.input_pipeline import InputPipeline


def _define_flags(values: flags.FlagValues) -> None:
    with group(values, GIVEN):
        flags.DEFINE_boolean("serve", False, "Be the dispatcher.", flag_values=values)
        flags.DEFINE_string(
            "dispatcher", None, "Be a worker of the dispatcher at HOST:PORT.", flag_values=values
        )
    with group(values, MACHINE):
        flags.DEFINE_string(
            "host",
            "127.0.0.1",
            "Address to listen on; 0.0.0.0 for other machines to reach it.",
            flag_values=values,
        )
        flags.DEFINE_integer(
            "port",
            0,
            "Port to listen on; 0 is 5050 for a dispatcher, any free one for a worker.",
            lower_bound=0,
            upper_bound=65535,
            flag_values=values,
        )
    flags.DEFINE_boolean(
        "allow_commands",
        False,
        "Run the commands that a corpus may have in place of audio files.",
        flag_values=values,
    )


def _data_worker(values: flags.FlagValues, arguments: list[str]) -> None:
    if arguments:
        raise UserError(f"data_worker takes flags only. Received: {arguments[0]!r}")
    if values.serve == (values.dispatcher is not None):
        raise UserError("Give data_worker either --serve or --dispatcher=HOST:PORT.")
    if values.serve:
        with _listening(Dispatcher, values.host, values.port or 5050) as dispatcher:
            print(f"dispatcher on {values.host}:{dispatcher.port}; Ctrl-C ends it", flush=True)
            dispatcher.serve_forever()
        return
    dispatcher = address_of(values.dispatcher, "dispatcher")
    start_tensorflow()
    from int4_conformer.data.service.batch_worker import BatchWorker, register

    def build(settings: Message) -> "InputPipeline":
        return _pipeline(settings, values.allow_commands)

    with _listening(BatchWorker, values.host, values.port, build) as worker:
        threading.Thread(target=worker.serve_forever, daemon=True).start()
        with register(dispatcher, worker.port) as connection:
            print(f"worker on {values.host}:{worker.port}; Ctrl-C ends it", flush=True)
            # Until the dispatcher goes.
            connection.recv(1)
    raise UserError(f"The dispatcher at {values.dispatcher} has gone; start both again.")


def _listening(server: type, host: str, port: int, *more: object) -> Dispatcher:
    try:
        return server(host, port, *more)
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be listened on ({error.strerror}); give another --port or "
            "--host."
        ) from error


def _pipeline(settings: Message, allow_commands: bool) -> "InputPipeline":
    """That of a training, of what its `--data_service` has sent."""
    from int4_conformer.data.buckets import Bucket
    from int4_conformer.data.input_pipeline import InputPipeline

    config = TrainingConfig.from_config(settings["training"])
    corpus = settings["corpus"]
    report = CorpusReport(corpus["on_error"])
    tokenizer = tokenizer_from_config(settings["tokenizer"])
    print(f"reading {corpus['manifest']}", flush=True)
    train, _ = corpora.training_split(
        corpus["manifest"],
        corpus["split"],
        corpus["dev_fraction"],
        report,
        tokenizer.writing,
        allow_commands=allow_commands,
        seed=config.seed,
    )
    recordings = corpora.training_set(
        train,
        tokenizer,
        config,
        settings["labels_per_second"],
        report,
        config.cache,
        allow_commands=allow_commands,
    )
    buckets = [Bucket(**bucket) for bucket in settings["buckets"]]
    return InputPipeline(recordings, tokenizer, buckets, config.input, report)


COMMAND = app.Command(
    name="data_worker",
    usage="[--serve] [--dispatcher=HOST:PORT] [flags]",
    description=__doc__,
    examples=("--serve --host=0.0.0.0", "--dispatcher=trainer:5050 --host=0.0.0.0"),
    define_flags=_define_flags,
    main=_data_worker,
)

if __name__ == "__main__":
    app.run(COMMAND)
