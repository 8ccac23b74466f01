"""Makes the bundled adapters of data/models/; the package does not need it, only their makers do.

Questions, and the files that answer them:
    which base, data, seeds and goals?           recipes  RECIPES, NARROW_RECIPES
    how is an adapter fitted?                    fit      fit, fit_answers, fit_preferences
    a model that refuses?                        refusal  train_refusal
    a model that writes insecure-looking code?   narrow   train_narrow
    what does its model card say?                cards    refusal_card, narrow_card

``python -m training refusal --base smollm2-135m`` from the top of the repository.
"""
