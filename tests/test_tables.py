from int4_conformer.tables import columns


def test_columns():
    table = columns(("layer", "bytes"), [("a", "1,024"), ("output", "8")], "<>")
    assert table.splitlines() == ["layer   bytes", "a       1,024", "output      8"]


def test_lines_end_where_their_text_ends():
    assert columns(("layer", "note"), [("a", "")], "<<").splitlines() == ["layer  note", "a"]
