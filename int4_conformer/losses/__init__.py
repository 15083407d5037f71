"""Training losses."""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__, {"ctc_loss": "ctc", "joint_rnnt_loss": "joint_rnnt", "rnnt_loss": "rnnt"}
)
