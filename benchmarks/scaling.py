"""Whether a sweep of ten thousand rows is as fast per row, and takes as much memory, as one of a thousand.

Each size runs in a process of its own: throughput over a store of its own, and the memory that the sweep adds while it runs.
The process's peak would not do: extraction, before the sweep, has set it. So the memory in use is looked at all the while,
from what it is when the sweep begins. And how long loading takes once everything is imported.
"""

import ctypes
import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

NEW = 8  # tokens: what grows with the number of rows is the same for short responses


def measured(name: str, sizes: tuple[int, int] = (1000, 10000)) -> dict[str, float]:
    """Rows per second and added memory at both sizes, and the ratios of both."""
    found = {}
    for rows in sizes:
        done = subprocess.run([sys.executable, __file__, name, str(rows)], capture_output=True, text=True, check=True)
        found |= {f"{key}_{rows}": value for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
    small, large = (found[f"rows_per_second_{rows}"] for rows in sizes)
    less, more = (found[f"added_mib_{rows}"] for rows in sizes)
    return found | {"rows_10k_over_1k": round(large / small, 3), "added_10k_over_1k": round(more / less, 3)}


@contextmanager
def added_memory(every: float = 0.01) -> Iterator[dict[str, float]]:
    """While the block runs, ``mib`` is the most that the process has held above what it held when the block began."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # else what a warm-up has freed would be taken again, unseen
    process, ended = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    added = {"mib": 0.0}

    def look() -> None:
        while not ended.wait(every):
            added["mib"] = max(added["mib"], (process.memory_info().rss - before) / 2**20)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield added
    finally:
        ended.set()
        watcher.join()


def run(name: str, rows: int) -> dict[str, float]:
    """A sweep of 100 prompts over as many doses as it takes, at one layer, in bfloat16."""
    import workbench as wb

    wb.load(name)  # brings in what it imports
    started = time.perf_counter()
    model = wb.load(name, dtype="bfloat16")
    loading = time.perf_counter() - started
    pairs = wb.pairs("refusal")
    d = wb.extract(model, pairs.train, at=wb.resid_post(14))
    prompts = pairs.test.positive.take(100)
    doses = [0.3 * (i + 1) / (rows // 100) for i in range(rows // 100)]
    on = wb.PROMPT[-1] | wb.RESPONSE  # as most sweeps here steer
    with tempfile.TemporaryDirectory() as store:
        wb.sweep(model, prompts, wb.grid(d, ratios=[0.1], on=on), [wb.refusal], store, max_new_tokens=NEW)  # warm-up
    with tempfile.TemporaryDirectory() as store, added_memory() as added:
        started = time.perf_counter()
        wb.sweep(model, prompts, wb.grid(d, ratios=doses, on=on), [wb.refusal], store, max_new_tokens=NEW)
        seconds = time.perf_counter() - started
    return {
        "rows_per_second": round(rows / seconds, 2),
        "added_mib": round(added["mib"]),
        "load_seconds": round(loading, 2),
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))))
