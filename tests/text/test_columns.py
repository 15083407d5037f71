from int4_conformer.text.columns import columns, last_columns


def test_columns():
    assert columns("") == 0
    assert columns("語x音") == 5
    assert columns("e\u0301a") == 2


def test_last_columns():
    assert last_columns("語x音", 5) == "語x音"
    assert last_columns("語x音", 4) == "x音"
    assert last_columns("語x音", 1) == last_columns("abc", 0) == ""
