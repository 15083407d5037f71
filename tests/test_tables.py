from int4_conformer.tables import columns, smaller


def test_columns():
    table = columns(("layer", "bytes"), [("a", "1,024"), ("output", "8")], "<>")
    assert table.splitlines() == ["layer   bytes", "a       1,024", "output      8"]


def test_lines_end_where_their_text_ends():
    assert columns(("layer", "note"), [("a", "")], "<<").splitlines() == ["layer  note", "a"]


def test_what_is_larger_is_not_called_smaller():
    ratios = [7.731, 1.0, 0.96]
    assert list(map(smaller, ratios)) == ["7.73x smaller", "1.00x smaller", "1.04x larger"]
