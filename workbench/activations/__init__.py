"""From contrast sets to directions: activations collected in one pass, methods that make a vector of them, and
how well it tells held-out texts apart.

Questions, and the files that answer them:
    which activations do texts have?             collect  means, contrast, gather
    how are they kept on disk?                   on_disk  Shelf
    which method makes a vector of two classes?  methods  METHODS, mean_diff, probe, …
    how does a contrast set become a Direction?  extract  extract, shuffled, covariant, massive_dimensions
    does a direction tell held-out texts apart?  heldout  separation, judged, crossed
    could the words alone do it?                 surface  surface_confounds
"""
