"""Notebooks: executed one by one or in batches, the gates and the explorer used inside them, the report made of
them.

The only room where the model wing and the evidence wing meet.

Questions, and the files that answer them:
    how is one notebook executed?    execute         execute, find
    how is its kernel reached?       kernel_sockets  kernel_settings
    which parameters has every one?  options         NotebookOptions
    is the setup fit for a verdict?  setup_gates     setup_gates, scorer_gate, disjoint_gate
    what does the explorer compute?  explorer        Exploration
    and inside of the model?         inside          Inside
    what does it show?               widgets         explore, Explorer
    how is it opened from the shell? lab             ready_notebook, open_lab
    how are many executed?           batch/          plan, run, process, journal, remote
    how does the report come about?  report/         write, books, own_folder, manifest
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach(__name__, submodules=["batch", "report"])
