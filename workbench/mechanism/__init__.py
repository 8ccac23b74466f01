"""Why a model does what it does: which components write a direction, carry a behaviour, or say it first.

Thin over TransformerLens' ideas and held to its numbers: chats and tokens by what they are, controls and intervals are ours.

Questions, and the files that answer them:
    which components write a direction, or the logits of a refusal?  attribute        attribute
    which activations carry an effect from prompt to prompt?         patch            patch
    how large are these effects, over pairs?                         effects          patch_effects, screen_agreement
    is it this one coordinate?                                       interchange      interchange
    what would each layer say at each token?                         lens             lens
    which tokens of two chats are the same?                          token_alignment  counterparts, within_side
    how do rows with activations of their own run?                   passes           run, see
    what does the end of a model make of its stream?                 readout          Readout, opening_vector
    what lies around a direction?                                    neighbours       spectrum, cosines, sae_directions, top_tokens
"""
