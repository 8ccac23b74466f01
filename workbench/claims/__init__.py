"""A logged claim, its audit, the verdict of its replication, and the ledger that keeps them.

Nothing here loads a model.

Questions, and the files that answer them:
    what is a claim, and by which rule is it judged?  claim            Claim, Criterion
    how are claims read from files?                   files            logged_claims, claim, read_claims
    what are logged numbers?                          printed_numbers  Table, Cell, Fact
    which key or line of a TOML file is wrong?        toml_schema      read_toml, build
    can the logged numbers carry the claim?           audits/          check_results, kinds, arithmetic, noise, procedure, wording
    what became of it?                                verdict          Verdict, Measured, Gate, decide
    and by the rule before this one?                  first_rule       decide_first
    was the rule fixed before the numbers?            registrations    register
    how does a ledger go to somebody else?            exchange         write_archive, unpacked
    is it the logged model, another, or an analogue?  standing         standing_of
    which rows are evidence?                          evidence         prepare_rows, oracle
    how often does the label err?                     measured_errors  measured_errors
    how do rows become an effect and gates?           replication      read_rows
    where are verdicts kept?                          ledger           record, open, Ledger
    what does one entry hold?                         entries          Entry
    what did one rest on that was replaced since?     replaced         earlier_criteria, replaced_adapters
    how are they printed?                             tables           FORMATS, verdict_text, summary
    what is wrong with a log as it is?                log_audit        audit, RULES; reading it: log_reader, log_text, log_patterns; rules/
    how is that shown, or made a claims file?         log_page, log_draft
    how do I begin one of my own?                     new_claim        new_claim
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach(__name__, submodules=["ledger"])
