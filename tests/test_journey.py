"""The program that follows the tutorial (docs/journey.py), on a page of its own."""

import re

import pytest

from docs import journey

PAGE = """
## Set up

<!-- not run by the tests: it installs -->
```sh
place=here
mkdir folder
cd folder
```

## The rest

<!-- the file words.txt -->
```text
a $b
```

```python
print(open("words.txt").read(), 1 + 1)
```

```text
false
```

<!-- not run by the tests: it hears a microphone -->
```sh
false
```

<!-- needs the model of_no_name -->
```sh
false
```

```sh
sleep 100 &
cat
seq 100
echo "speak 8/80  5 s left"
printf \\
    '%s in %s' $place $PWD
```
"""
FAILS = """
```sh
echo before >&2; false
echo after
```

```sh
echo further
```
"""


@pytest.fixture
def followed(tmp_path):
    """What became of the blocks of a page."""

    def outcomes(text):
        page = tmp_path / "page.md"
        page.write_text(text)
        return list(journey.follow(page, tmp_path))

    return outcomes


def test_blocks_are_done_in_one_shell(followed, tmp_path):
    found = followed(PAGE)
    assert all(outcome.succeeded for outcome in found)
    assert [outcome.block.heading for outcome in found] == ["Set up", *3 * ["The rest"]]
    *numbers, _, place = found[-1].printed.splitlines()
    assert numbers == [str(number) for number in range(1, 101)]
    assert place == f"here in {tmp_path}/folder"
    assert found[2].printed == "a $b\n 2\n"
    assert found[2].processor_seconds > 0


def test_the_page_shows_what_was_printed(followed, tmp_path):
    page = journey.report(followed(PAGE), "somewhere.", lambda text: text.replace("here", "there"))
    assert re.findall("^## .*", page, re.MULTILINE) == ["## Set up", "## The rest"]
    assert re.search(r"^\| The rest \| \d s \| \d s \|$", page, re.MULTILINE)
    assert "$ sleep 100 &\n$ cat\n$ seq 100\n" in page
    assert "$ printf \\\n>     '%s in %s' $place $PWD\n1\n2\n" in page
    assert "\n16\n... 69 lines ...\n86\n" in page
    assert f"\n100\nthere in {tmp_path}/folder\n" in page


def test_a_block_that_fails_is_the_last(followed):
    (outcome,) = followed(FAILS)
    assert not outcome.succeeded
    assert outcome.printed == "before\n"
    assert "before\n(it failed, and the journey ends here)" in journey.report([outcome], "", str)
