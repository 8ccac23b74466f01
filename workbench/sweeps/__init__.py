"""The experiment: prompts × arms, generated, stored and scored once; on one machine or many; and what that will
cost beforehand.

Questions, and the files that answer them:
    which rows does an experiment have?  rows      sweep_rows, generate_missing, Decoding
    how do I run one?                    sweep     sweep, outcomes
    which layer and dose?                search    steering_search, dose_effects; what do arms change: paired_changes
    how do I read it in Inspect?         inspect_logs  write_inspect_logs
    how does it run on Ray?              cluster   Ray
    what will it cost?                   cost      plan, Plan
    how fast is a device?                hardware  Hardware
"""
