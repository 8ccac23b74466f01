"""A model and what goes into it: its name, files and weights, chats and prompts as tokens, and the hooks at its
sites.

Questions, and the files that answer them:
    which models are known by name?                   registry      SOURCES, resolve
    how do embedded weights get here?                 fetch         fetch, offline
    which sentences mean alike?                       sentences    embed, fetch_sentences
    which families are supported?                     families      FAMILIES, refuse_other_family
    is a folder or file of a model whole?             folder        check_safetensors, check_adapter
    which weights, template and stop tokens are they? identity      files_revision, Revision
    what is a loaded model, what is an encoded chat?  model         Model, Encoded
    how is a chat written, what may it not hold?      chats         check_template, render, control_tokens
    how is one loaded?                                load          load, from_modules
    is it what it should be?                          checks        preflight
    where in a module is a site?                      hooks         reading, writing
    what is a prompt, a set of them, a contrast set?  prompts       Prompt, Prompts, Pairs
    how are prompts read from files?                  prompt_files  prompts, pairs, questions
    how are public prompt sets laid out?              public_sets   LAYOUTS
    what does this machine have, what does it lack?   environment   examine, devices
    how large is a model, from its configuration?     sizes         Shape, shape_of
"""
