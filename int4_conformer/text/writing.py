"""How transcripts are written that a recogniser learns and is scored by."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from int4_conformer.errors import require_one_of
from int4_conformer.fields import setting
from int4_conformer.text.normalize import LOCALES, as_written, normalize

Text = Literal["words", "as_written"]
Markers = Literal["drop", "keep"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Writing:
    """How a recogniser's texts are written.

    Raises:
        UserError: a field has another value than those that there are.

    Example:

        >>> Writing(text="as_written").of(" [noise] Turn it on,  please.")
        'Turn it on, please.'
        >>> Writing(markers="keep").of("[noise] Turn it on, please.")
        '[noise] turn it on please'
    """

    text: Text = setting(
        "words",
        "What is learned: `words`, in lower case and without punctuation, or `as_written`, with "
        "both.",
    )
    markers: Markers = setting(
        "drop",
        "What becomes of markers such as `[noise]` and `<unk>`: `drop` leaves them out, `keep` "
        "takes each for a word, in lower case.",
    )
    locale: str = setting(
        "",
        "Language whose rules of case hold: `tr` or `az`, where the lower case of I is ı; '': any "
        "other.",
    )

    def __post_init__(self) -> None:
        require_one_of(get_args(Text), text=self.text)
        require_one_of(get_args(Markers), markers=self.markers)
        require_one_of(LOCALES, locale=self.locale)

    @property
    def is_cased(self) -> bool:
        """Whether case and punctuation count."""
        return self.text == "as_written"

    def of(self, text: str) -> str:
        """A text written so; writing twice changes nothing."""
        keep = self.markers == "keep"
        if self.is_cased:
            return as_written(text, keep_markers=keep)
        return normalize(text, self.locale, keep_markers=keep)

    def words_of(self, text: str) -> str:
        """The words of a text, whose case, punctuation and markers do not count."""
        return normalize(text, self.locale)

    def to_entry(self) -> dict[str, Any]:
        """What configs say of it: `{"writing": ...}`, nothing where all is usual."""
        return {} if self == WORDS else {"writing": dataclasses.asdict(self)}

    @classmethod
    def from_entry(cls, config: Mapping[str, Any]) -> "Writing":
        """Of a config with the entry of `to_entry`."""
        return cls(**config.get("writing", {}))


# What is usual.
WORDS = Writing()
