"""Whether a sweep of ten thousand rows is as fast per row, and takes as much memory, as one of a thousand.

Each size runs in a process of its own: throughput over a store of its own, and the peak memory of the process above what the
loaded model takes. And how long loading takes once everything is imported.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time

NEW = 8  # tokens: what grows with the number of rows is the same for short responses


def measured(name: str, sizes: tuple[int, int] = (1000, 10000)) -> dict[str, float]:
    """Rows per second and peak memory at both sizes, and the ratio of the rates."""
    found = {}
    for rows in sizes:
        done = subprocess.run([sys.executable, __file__, name, str(rows)], capture_output=True, text=True, check=True)
        found |= {f"{key}_{rows}": value for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
    small, large = (found[f"rows_per_second_{rows}"] for rows in sizes)
    return found | {"rows_10k_over_1k": round(large / small, 3)}


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
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as store:
        wb.sweep(model, prompts, wb.grid(d, ratios=[0.1], on=on), [wb.refusal], store, max_new_tokens=NEW)  # warm-up
    with tempfile.TemporaryDirectory() as store:
        started = time.perf_counter()
        wb.sweep(model, prompts, wb.grid(d, ratios=doses, on=on), [wb.refusal], store, max_new_tokens=NEW)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "rows_per_second": round(rows / seconds, 2),
        "peak_mib": round(peak / 1024),
        "load_seconds": round(loading, 2),
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))))
