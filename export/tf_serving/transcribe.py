"""Recognises files on a server.

python export/tf_serving/transcribe.py localhost:8500 a.wav b.wav
python export/tf_serving/transcribe.py http://localhost:8501 --words a.wav
python export/tf_serving/transcribe.py localhost:8500 --phrase="Ada Lovelace" a.wav
"""

import dataclasses
import json
import sys
from collections.abc import Sequence

import command_line
from recognition_client import Client, ClientError, ServerError, read_samples


def main(argv: Sequence[str]) -> int:
    """Prints a line for each file, or for each word or hypothesis; 2 if a file failed."""
    parser = command_line.Parser(prog="transcribe.py", description=__doc__.splitlines()[0])
    command_line.add_server_arguments(parser)
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="WAV, or what int4_conformer reads"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--words", action="store_true", help="print words with times and confidence")
    form.add_argument("--json", action="store_true", help="print a JSON object for each file")
    form.add_argument("--beam", action="store_true", help="print several hypotheses with scores")
    form.add_argument(
        "--phrase",
        action="append",
        default=[],
        help="a likely word or name; may be given several times; prints hypotheses as --beam",
    )
    parser.add_argument(
        "--bonus", type=command_line.positive, default=0.5, help="nats for each token of a phrase"
    )
    values = parser.parse_intermixed_args(argv)
    client, failed = command_line.connected(values), 0
    for path in values.files:
        name = "" if len(values.files) == 1 else f"{path}\t"
        try:
            if values.beam or values.phrase:
                lines = _hypotheses(client, path, values.phrase, values.bonus)
            else:
                lines = _lines(client, path, values.words, values.json)
        except ServerError:
            # So would the other files.
            raise
        except ClientError as error:
            print(error if path in str(error) else f"{path}: {error}", file=sys.stderr)
            failed += 1
        else:
            print("".join(f"{name}{line}\n" for line in lines), end="", flush=True)
    return 2 if failed else 0


def _lines(client: Client, path: str, words: bool, as_json: bool) -> list[str]:
    found = client.transcribe_file(path)
    if as_json:
        return [json.dumps({"audio": path} | dataclasses.asdict(found), ensure_ascii=False)]
    if words:
        return [f"{x.start:.2f}\t{x.end:.2f}\t{x.confidence:.3f}\t{x.text}" for x in found.words]
    return [found.text]


def _hypotheses(client: Client, path: str, phrases: Sequence[str], bonus: float) -> list[str]:
    found = client.beam(read_samples(path), phrases, bonus)
    return [f"{x.score:.3f}\t{x.text}" for x in found]


if __name__ == "__main__":
    command_line.run(main)
