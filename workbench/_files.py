"""Where things lie: bundled data, the user's cache, and the results of runs."""

import os
from pathlib import Path


def package_folder() -> Path:
    """Where the package itself lies."""
    return Path(__file__).resolve().parent


def data_folder() -> Path:
    """The bundled data: inside an installed package, or beside it in a checkout."""
    package = package_folder()
    bundled = package / "data"
    return bundled if bundled.is_dir() else package.parent / "data"


def cache_folder() -> Path:
    """Where fetched models are kept: ``$WORKBENCH_CACHE``, else ``$XDG_CACHE_HOME/workbench``, else ``~/.cache/workbench``."""
    if chosen := os.environ.get("WORKBENCH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "workbench"
