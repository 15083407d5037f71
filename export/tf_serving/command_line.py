"""How the programs of this folder read their arguments and report mistakes."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from recognition_client import ClientError, GrpcClient, RestClient


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        raise ClientError(f"{message}; --help lists what there is.")


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines ADDRESS and the flags that choose a model."""
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        help="HOST:PORT of gRPC, as localhost:8500, or a URL of REST, as http://localhost:8501",
    )
    parser.add_argument("--model", default="recognizer", help="name of the model on the server")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--version", type=int, help="version; the newest if not given")
    chosen.add_argument("--label", help="label of a version, as stable or canary; gRPC and REST")
    parser.add_argument("--timeout", type=positive, default=60.0, help="seconds for an answer")


def connected(values: argparse.Namespace) -> GrpcClient | RestClient:
    """The client that the arguments ask for."""
    kind = RestClient if values.address.startswith(("http://", "https://")) else GrpcClient
    with _held_back():
        return kind(
            values.address,
            values.model,
            version=values.version,
            label=values.label,
            timeout=values.timeout,
        )


def positive(text: str) -> float:
    """A number above 0, from an argument."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"it must be positive. Received: {text}")
    return value


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keeps from stderr what TensorFlow says at its start; it comes with the messages of gRPC."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        # Some of it is written by C++, past `sys.stderr`.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def run(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a program and exits: with what it returns, or 2 after a mistake, told in one line.

    Args:
        main: takes the arguments and returns the exit status.
        argv: the arguments without the program's name, by default those of `sys.argv`.
    """
    try:
        sys.exit(main(sys.argv[1:] if argv is None else argv))
    except ClientError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
