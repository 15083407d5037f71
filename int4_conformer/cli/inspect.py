"""Lists what a .tflite file holds: its size, its weights, and their types.

The checksum of a recogniser that `int4-conformer export` wrote is verified.
"""

import json

from absl import flags

from int4_conformer.cli import app
from int4_conformer.errors import UserError
from int4_conformer.files import write_beside
from int4_conformer.lite import inspection


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("json", None, "File to write the same facts to.", flag_values=values)


def _inspect(values: flags.FlagValues, arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise UserError(f"inspect takes one MODEL. Received: {len(arguments)} arguments")
    result = inspection.inspect(arguments[0])
    if values.json is not None:
        write_beside(values.json, (json.dumps(result.to_json(), indent=2) + "\n").encode())
    print(result.table())


COMMAND = app.Command(
    name="inspect",
    usage="MODEL [flags]",
    description=__doc__,
    define_flags=_define_flags,
    main=_inspect,
)

if __name__ == "__main__":
    app.run(COMMAND)
