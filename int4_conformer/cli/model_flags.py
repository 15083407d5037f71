"""Flags that say which model a new run has, and what it starts from."""

import dataclasses
from pathlib import Path

from absl import flags

from int4_conformer.cli import app
from int4_conformer.cli.flag_groups import LEARNED, group
from int4_conformer.errors import UserError
from int4_conformer.models.model_config import JointConfig, TransducerConfig
from int4_conformer.models.presets import PRESETS, preset
from int4_conformer.pretrained.registry import named_file
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.text.tokenizer import Tokenizer, tokenizer_from_config
from int4_conformer.text.wordpieces import Wordpieces
from int4_conformer.text.writing import WORDS, Writing
from int4_conformer.training.exported_file import read_exported
from int4_conformer.training.run_folder import read_run_config


def define_flags(values: flags.FlagValues) -> None:
    """Defines them."""
    with group(values, LEARNED):
        flags.DEFINE_string(
            "preset",
            None,
            f"One of {', '.join(PRESETS)}; if not given, tiny, with --phrases cascaded_tiny, "
            "and with --init_from=MODEL the sizes of that.",
            flag_values=values,
        )
        flags.DEFINE_string(
            "recipe",
            None,
            "Quantization: w4a8, w8a8, ..., float, a scheme such as w4b32_a8d, or a .json file; if "
            "not given, w4a8 or that of --init_from=MODEL.",
            flag_values=values,
        )
        flags.DEFINE_string(
            "tokenizer",
            None,
            "graphemes (single characters), a file that `int4-conformer wordpieces` wrote, or "
            "WORKDIR of a run, to take over its tokenizer; if not given, that of --init_from=MODEL "
            "or, with --phrases, --init_from=WORKDIR, else graphemes.",
            flag_values=values,
        )
        flags.DEFINE_string(
            "init_from",
            None,
            "Weights that a new run starts from: WORKDIR of another run; MODEL, a .tflite file or "
            "a name that `int4-conformer models` lists; an .npz, .h5 or .keras file; or the prefix "
            "of a TensorFlow checkpoint (docs/models.md).",
            flag_values=values,
        )
        for field in dataclasses.fields(Writing):
            flags.DEFINE_string(
                field.name,
                None,
                f"{field.metadata['help']} If not given, as --tokenizer or --init_from has it, "
                f"else {field.default!r}.",
                flag_values=values,
            )
    app.define_fields(JointConfig, values, ["tied"])
    flags.DEFINE_string(
        "init_mapping",
        None,
        "JSON file that maps the names of weights in --init_from to ours (docs/models.md).",
        flag_values=values,
    )
    flags.DEFINE_string(
        "init_may_miss",
        "",
        "Regular expression: our weights that --init_from need not have.",
        flag_values=values,
    )


class ModelStart:
    """The model of a new run, as the flags say.

    Raises:
        UserError: the file that it starts from cannot be read, or texts cannot be written so.
    """

    def __init__(self, values: flags.FlagValues):
        self._values = values
        # What `InitialWeights` reads, or None.
        self.path = None if values.init_from is None else named_file(values.init_from)
        self._exported = None
        if self.path is not None and self.path.endswith(".tflite"):
            self._exported = read_exported(self.path)
        # None: one of the letters of the texts.
        self._tokenizer = self._known_tokenizer()
        # How texts are written.
        self.writing = self._writing()

    def _known_tokenizer(self) -> Tokenizer | None:
        name = self._values.tokenizer
        if name is None and self._exported is not None:
            return self._exported.tokenizer
        if name is None and self._values.phrases and self.path and Path(self.path).is_dir():
            name = self.path
        if name in (None, "graphemes"):
            return None
        if Path(name).is_dir():
            return tokenizer_from_config(read_run_config(Path(name))["tokenizer"])
        return Wordpieces.load(name)

    def _writing(self) -> Writing:
        known = WORDS if self._tokenizer is None else self._tokenizer.writing
        given = app.given_fields(Writing, self._values)
        given = {name: value for name, value in given.items() if value is not None}
        if self._values.phrases:
            # They are drawn as words.
            if given.get("text", "words") != "words":
                raise UserError(f"--phrases are words; leave --text={given['text']} out.")
            given["text"] = "words"
        return dataclasses.replace(known, **given)

    def tokenizer(self, texts: list[str]) -> Tokenizer:
        """What makes the labels.

        Args:
            texts: to train on, written as `writing` says.
        """
        tokenizer = self._tokenizer or Graphemes.from_texts(texts)
        return dataclasses.replace(tokenizer, writing=self.writing)

    def sizes(self, vocab_size: int) -> TransducerConfig:
        """Sizes and recipe, before a config file changes parts of them.

        Args:
            vocab_size: output symbols, the blank included.
        """
        values = self._values
        if self._exported is None or values.preset is not None:
            return preset(
                values.preset or "tiny",
                vocab_size=vocab_size,
                recipe=Recipe.named(values.recipe or "w4a8"),
                tied=values.tied,
            )
        own = self._exported.config
        return dataclasses.replace(
            own,
            vocab_size=vocab_size,
            recipe=own.recipe if values.recipe is None else Recipe.named(values.recipe),
            joint=dataclasses.replace(
                own.joint, tied=values.tied if values["tied"].present else own.joint.tied
            ),
        )
