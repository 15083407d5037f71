from int4_conformer.quant.products.backend_times import backend_times
from int4_conformer.quant.products.backends import fastest
from int4_conformer.quant.products.matmul import onednn_available


def test_what_auto_takes():
    found = backend_times(4, 16, 8)
    graph = {"xla", "exact_float"}
    own = graph | {"onednn"} if onednn_available() else graph
    assert found.milliseconds.keys() == own | {"native"}
    assert found.with_xla == fastest(4, 16, 8, graph)
    assert found.without_xla == fastest(4, 16, 8, own)
