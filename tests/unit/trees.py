"""Search trees by hand, and random ones: for the tests of the analysis and of the selection."""

import math

from hypothesis import strategies as st

from langchain_linvit.planner.tree import Tree, analyse


def node(node_id, parent, *, p=1.0, reward=0.0, done=False, solved=None, error=None, key=None, used=None):
    depth = 0 if parent is None else node_id.count(".") + 1
    return {
        "id": node_id, "parent": parent, "text": node_id, "log_prob": math.log(p), "provenance": "exact",
        "steps": [], "reward": reward, "done": done, "solved": solved, "error": error, "key": key or node_id,
        "used": depth if used is None else used, "snapshot": {},
    }  # fmt: skip


def tree(spec, values=None, *, root=None, **fields):
    """A tree from `{"a": {...}, "a.b": {...}}`: ids are paths, attributes those of `node`.

    A node is expanded where it has children here, or is given `children=()`.
    """
    nodes = {"root": node("root", None, **(root or {}))}
    children = {}
    for node_id, attributes in spec.items():
        parent = node_id.rpartition(".")[0] or "root"
        given = {name: value for name, value in attributes.items() if name != "children"}
        nodes[node_id] = node(node_id, parent, **given)
        children.setdefault(parent, []).append(node_id)
        if "children" in attributes:
            children.setdefault(node_id, [])
    known = {
        key: {"value": value, "source": "test", "detail": "", "error": None} for key, value in (values or {}).items()
    }
    return Tree(nodes, children, known, "root", **fields)


def view(of, *, depth=2, breadth=None, beam=None, kl_coef=0.0, layerwise=None):
    if layerwise is None:
        layerwise = breadth is not None or beam is not None
    return analyse(of, depth=depth, breadth=breadth, beam=beam, kl_coef=kl_coef, layerwise=layerwise)


FEW = st.sampled_from([0.0, 0.25, 0.5, 1.0])
CHILD = st.fixed_dictionaries(
    {
        "p": st.sampled_from([0.05, 0.2, 0.5]),
        "reward": st.sampled_from([0.0, 0.0, 0.25]),
        "end": st.sampled_from(["", "", "", "", "done", "failed", "dead"]),
        "value": FEW,
    }
)


@st.composite
def searched_trees(draw, depth=3, solved=True):
    """(tree, depth) of a search that is over: every live node above `depth` is expanded, every end has a value."""
    spec, values = {}, {}

    def grow(parent, level):
        for index, child in enumerate(draw(st.lists(CHILD, max_size=3))):
            node_id = f"{parent}.{index}" if parent else str(index)
            end = draw(st.sampled_from([child["end"]] * 9 + ["solved"])) if solved else child["end"]
            spec[node_id] = {
                "p": child["p"],
                "reward": child["reward"],
                "done": end in {"done", "failed", "solved"},
                "solved": {"failed": False, "solved": True}.get(end),
                "error": "illegal" if end == "dead" else None,
                "children": (),
            }
            values[node_id] = child["value"]
            if not end and level < depth:
                grow(node_id, level + 1)

    grow("", 1)
    made = tree(spec, values)
    made.children.setdefault("root", [])
    return made, depth
