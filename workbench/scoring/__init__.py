"""What a response is: from its text, from a model that reads it again, or from a judge.

Questions, and the files that answer them:
    refusal, compliance, off topic or collapse?                   labels       refusal; languages: unreadable; topics: off_topic
    does the response answer the prompt?                          relevance    relevance
    would the model open with a refusal?                          margins      refusal_margin (no generation)
    does the model still know what it knew?                       choices      multiple_choice (no generation)
    is it code, and insecure?                                     code         answer_form, insecure_pattern
    has it broken down?                                           coherence    coherence; collapse: collapse_reason
    how far from the unsteered model, how far along a direction?  distances    kl, kl_per_token, cross_entropy, projection
    how much of a trait, says a model?                            judges       judge; endpoints: Endpoint; traits: trait_odds, trait_check
    what would the log have said?                                 logs         log000_…, log001_…, log003_…
    do two scorers agree, and are they right?                     hand_labels  agreement, accuracy, read_labelled
    what is a score?                                              scores       Score
"""
