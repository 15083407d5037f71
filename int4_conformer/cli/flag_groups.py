"""The parts of a command's help, by what its flags are about.

A command defines its flags within `group`; those of no group are the advanced ones.
"""

import contextlib
from collections.abc import Iterator

from absl import flags

GIVEN = "what you give"
LEARNED = "what it learns"
SEARCHED = "what it listens for"
PRINTED = "what you get"
MACHINE = "where it runs"
ADVANCED = "advanced"
COMMON = "as with other commands"

# As a user thinks of them.
ORDER = (GIVEN, LEARNED, SEARCHED, PRINTED, MACHINE, ADVANCED, COMMON)


@contextlib.contextmanager
def group(values: flags.FlagValues, name: str) -> Iterator[None]:
    """Flags that are defined within this context belong to the group of that name."""
    before = set(values)
    yield
    for flag in values:
        if flag not in before:
            # absl parts its own helps by this.
            values.register_flag_by_module(name, values[flag])


def grouped(values: flags.FlagValues) -> dict[str, list[str]]:
    """Names of flags by group, in the order of the help; within a group, in that of definition."""
    by_group = values.flags_by_module_dict()
    groups = {name: [flag.name for flag in by_group.get(name, ())] for name in ORDER}
    placed = {flag for names in groups.values() for flag in names}
    groups[ADVANCED] += [flag for flag in values if flag not in placed]
    return {name: names for name, names in groups.items() if names}
