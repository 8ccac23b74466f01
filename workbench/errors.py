"""The one exception of the workbench: what was seen, what was expected, what to type instead."""


class WorkbenchError(ValueError):
    """A mistake that the caller can mend; raised before any compute is spent.

    The command line prints its message alone, without a traceback.
    """
