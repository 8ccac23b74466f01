"""What is done to a model, as data: where (sites), on which tokens (positions), along what (directions), how
(steer, verbs), in which conditions (arms).

Nothing here runs a model.

Questions, and the files that answer them:
    at which place in a layer?                 sites            resid_post, attn_out, …, Site
    on which tokens of a chat?                 positions        ALL, PROMPT, RESPONSE, Positions
    along which vector, and where is it from?  directions       Direction, Directions
    to and from control-vector files?          control_vectors  write_control_vectors, read_control_vectors
    which edits, joined and written to JSON?   steer            Edit, Steer, Condition
    how do I ask for one?                      verbs            add, ablate, clamp
    in which conditions of an experiment?      arms             Arm, grid, BASELINE
"""
