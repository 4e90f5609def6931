"""Sources of a small suite, in which some tests have the same names."""

GRAPH = """
class TestGraph:
    def test_add_edge(self): assert graph.add_edge(1, 2)
    def test_add_node(self): assert graph.add_node(1)
    def test_remove(self): assert graph.remove_node(1)
"""
FILES = {
    "test_graph.py": GRAPH,
    "sub/test_graph.py": GRAPH.replace("edge", "weighted_edge").replace("graph.", "network."),
    "sub/test_path.py": "import pytest\n@pytest.mark.parametrize('x', [1, 2])\n"
    "def test_path(x): assert path_length(x) == weight\n",
    "test_same.py": "def test_one(): assert node\ndef test_two(): assert graph\n",
}
