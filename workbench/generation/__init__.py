"""Text written and read again, steered per row: the batch engine, its cache and schedule, completions and their
store, traces token by token.

Questions, and the files that answer them:
    how is a Steer put on a running model?        steer_hooks      steered, Applied
    which rows run together, and in which order?  schedule         place_rows, read_together
    how are keys and values cached?               kv_cache         PreallocatedCache
    how is a product with weights made quick?     weight_packing   PrepackedWeights
    how does a batch read and write?              engine           Batch, Writer, first_logits
    how do I write completions?                   generate         generate
    greedy, or sampled?                           decoding         Sampling
    how many rows fit into memory?                memory           Room
    what is a completion?                         completions      Completions
    where are completions kept?                   store            Store, open
    what is a trace?                              traces           Trace, Probe
    how is one recorded?                          recorder         trace, trace_generation
    how are responses read again?                 teacher_forcing  log_probabilities, surprise
    how is logit amplification done?              amplify          amplify, amplified_logits
    how does vLLM write in its place?             vllm_engine      VLLM, stream_tokens; in its workers: vllm_worker
    what can each engine do?                      vllm_limits      ABILITIES, refuse
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach(__name__, submodules=["store"])
