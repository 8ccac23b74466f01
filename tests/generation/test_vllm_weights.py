"""Copies of weights that are handed to vLLM: a process that is killed leaves one behind, and the next one removes it. No vLLM here."""

import multiprocessing
import os
import signal

from tests.families import tiny_model
from workbench._files import cache_folder
from workbench.generation.vllm_engine import _weights


def hand_over_and_die(told):
    folder, ours = _weights(tiny_model("llama"))
    told.put((str(folder), ours))
    told.close()
    told.join_thread()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_copy_goes_with_the_next_process_once_its_own_was_killed_and_no_other_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    mine, ours = _weights(tiny_model("llama"))
    assert ours
    foreign = cache_folder() / "vllm" / "somebody's own"
    foreign.mkdir()
    spawn = multiprocessing.get_context("spawn")
    told = spawn.Queue()
    process = spawn.Process(target=hand_over_and_die, args=(told,))
    process.start()
    left, _ = told.get(timeout=300)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert os.path.isdir(left)
    another, _ = _weights(tiny_model("llama"))
    there = {str(path) for path in (cache_folder() / "vllm").iterdir() if path.is_dir()}
    assert there == {str(mine), str(another), str(foreign)}
    assert any(mine.glob("*.safetensors"))
