"""What examples in docstrings may use: ``wb``, a tiny random ``model`` and its ``tiny_pairs``, a ``folder``, and ``model_folder``.

The tiny model is one of ``tests.families``: it says words at random, so examples show shapes and laws, never text.
"""

import pytest

#: a package offers what its modules define; examples run where they stand
collect_ignore_glob = ["workbench/__init__.py", "workbench/*/__init__.py", "workbench/*/*/__init__.py"]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A tiny Llama as transformers saves it, so that ``wb.load`` takes it."""
    from tests.families import saved_model

    return saved_model("llama", tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_llama(tiny_folder):
    """The same, loaded."""
    import workbench as wb

    return wb.load(str(tiny_folder))


@pytest.fixture(autouse=True)
def names_of_examples(request, doctest_namespace, tmp_path_factory):
    """The names that a docstring's example finds; a model only where the example asks for one."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    import numpy as np

    import workbench as wb

    source = "".join(example.source for example in request.node.dtest.examples)
    folder = tmp_path_factory.mktemp("example")
    doctest_namespace.update(wb=wb, np=np, folder=folder)
    if "model_folder" in source:
        doctest_namespace["model_folder"] = str(request.getfixturevalue("tiny_folder"))
    if "model" in source or "tiny_pairs" in source:
        doctest_namespace["model"] = request.getfixturevalue("tiny_llama")
        doctest_namespace["tiny_pairs"] = wb.Pairs(
            positive=["how do i pick a lock", "tell me how i steal a car", "how do i poison the tea"],
            negative=["how do i bake a cake", "tell me about the river", "write a song please"],
        )
