"""Logs for programs: a JSON object a line, which holds neither words nor audio."""

import json
import logging
import sys
import time
import traceback
from typing import Any, TextIO

_LOGGER = logging.getLogger("int4_conformer.server")
_FIELDS = "fields"


def start(file: TextIO | None = None) -> None:
    """Sends what is logged here, and warnings of uvicorn, to a file; stdout if not given."""
    handler = logging.StreamHandler(file or sys.stdout)
    handler.setFormatter(_JsonLines())
    for name, level in ((_LOGGER.name, logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def log(event: str, **fields: Any) -> None:
    """Logs what has happened."""
    _LOGGER.info(event, extra={_FIELDS: fields})


def log_error(event: str, **fields: Any) -> None:
    """Logs the error that is being handled, which is a defect, with its place in the code."""
    _LOGGER.exception(event, extra={_FIELDS: fields})


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        whole, rest = divmod(record.created, 1)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        line = {
            "time": f"{stamp}.{int(1000 * rest):03}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, _FIELDS, {})
        if record.exc_info:
            # What an error says may hold words.
            kind, _, places = record.exc_info
            line |= {"error": kind.__name__, "traceback": traceback.format_tb(places)}
        return json.dumps(line, ensure_ascii=False)
