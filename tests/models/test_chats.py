"""A chat is written as the model's template says, the same every day, and holds what the prompt holds and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import workbench as wb
from tests.families import CHATML, PROMPTS, saved_model, tiny_model, tiny_modules, tokenizer
from workbench.models.chats import check_chat, check_template, option_names, render, template_options
from workbench.models.load import from_modules
from workbench.models.prompts import as_prompts
from workbench.sweeps.rows import Decoding, sweep_rows

#: as Qwen 3: thinks unless told not to
THINKING = CHATML.replace(
    "<turn> assistant {% endif %}",
    "<turn> assistant {% if enable_thinking is defined and enable_thinking is false %}<think> </think> {% endif %}{% endif %}",
)
#: as DeepSeek R1: the template opens the thought itself
OPENED = CHATML.replace("<turn> assistant {% endif %}", "<turn> assistant <think>\n{% endif %}")
#: as Llama 3.2
DATED = (
    "{% if not date_string is defined %}{% if strftime_now is defined %}{% set date_string = strftime_now('%d %b %Y') %}"
    "{% else %}{% set date_string = '26 Jul 2024' %}{% endif %}{% endif %}{{ bos_token }}<turn> system {{ date_string }} <end> "
) + CHATML.removeprefix("{{ bos_token }}")

CHAT = (
    {"role": "user", "content": "how do i bake bread"},
    {"role": "assistant", "content": "slowly"},
    {"role": "user", "content": "tell me please"},
)


def thinker(template=THINKING, **options):
    """A tiny model whose tokenizer knows the marks of a thought."""
    module, words = tiny_modules("llama")
    words.add_tokens(["<think>", "</think>"])
    module.resize_token_embeddings(len(words))
    words.chat_template = template
    return from_modules(module, words, "tiny-thinker", template=options or None)


def text(model, chats, row=0):
    return model.tokenizer.decode(chats.token_ids[row])


# B1: options, and where the answer begins


def test_template_options_are_arguments_of_encode_and_of_load(tmp_path):
    model = thinker()
    thinks, quick = model.encode(PROMPTS), model.encode(PROMPTS, template={"enable_thinking": False})
    assert all(b[: len(a)] == a for a, b in zip(thinks.token_ids, quick.token_ids, strict=True))
    assert text(model, quick).endswith("<think> </think>")
    assert thinker(enable_thinking=False).encode(PROMPTS) == quick
    folder = saved_model("llama", tmp_path / "thinker")
    loaded = wb.load(str(folder), chat_template=THINKING, template={"enable_thinking": False})
    assert loaded.template == loaded.loading.template == {"enable_thinking": False}
    assert loaded.encode(PROMPTS).lengths == tuple(
        n + 2 for n in loaded.encode(PROMPTS, template={"enable_thinking": True}).lengths
    )
    assert json.loads(wb.generate(loaded, PROMPTS[:1], max_new_tokens=1).template) == {"enable_thinking": False}


def test_options_are_part_of_every_key():
    keys = [
        [job.key for job in sweep_rows(model, {"all": as_prompts(PROMPTS)}, [wb.BASELINE], Decoding(4))]
        for model in (thinker(), thinker(enable_thinking=False))
    ]
    assert not set(keys[0]) & set(keys[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"enable_thinkin": False}, "unknown template option 'enable_thinkin'; did you mean 'enable_thinking'"),
        ({"tokenize": True}, "unknown template option 'tokenize'"),
        ("enable_thinking", "expected options by name"),
    ],
)
def test_an_option_that_the_template_does_not_read_is_refused(options, message):
    model = thinker()
    with pytest.raises(wb.WorkbenchError, match=message):
        template_options(model.tokenizer, model.name, options)
    if isinstance(options, dict):
        with pytest.raises(wb.WorkbenchError, match=message):
            model.encode(PROMPTS, template=options)


def test_the_margin_is_read_where_the_answer_begins():
    model = thinker()
    quick = wb.refusal_margin(model, model.encode(PROMPTS, template={"enable_thinking": False}))
    assert np.array_equal(wb.refusal_margin(model, PROMPTS), quick)
    assert np.array_equal(wb.refusal_margin(thinker(enable_thinking=False), PROMPTS), quick)


def test_a_thought_that_the_template_opens_is_closed_first():
    model = thinker(OPENED)
    chats = model.at_answer(model.encode(PROMPTS))
    assert all(text(model, chats, row).split()[-2:] == ["<think>", "</think>"] for row in range(len(chats)))
    assert chats.prompt_lengths == chats.lengths


def test_a_prefill_and_a_model_that_does_not_think_stay_as_they_are(llama):
    model = thinker()
    begun = model.encode([wb.Prompt("write a song", prefill="one two")])
    assert model.at_answer(begun) is begun
    chats = llama.encode(PROMPTS)
    assert llama.at_answer(chats) is chats


# dates


@pytest.mark.parametrize(
    ("options", "written"),
    [({}, "26 Jul 2024"), ({"date": "2025-01-31"}, "31 Jan 2025"), ({"date_string": "yesterday"}, "yesterday")],
)
@pytest.mark.parametrize("newline", ["", "\n"])
def test_a_date_in_a_template_is_pinned(options, written, newline):
    words = tokenizer(newline + DATED)
    chosen = template_options(words, "tiny", options)
    assert chosen == {"date": "2024-07-26"} | options
    question = [{"role": "user", "content": "write a song"}]
    said = words.apply_chat_template(question, tokenize=False, add_generation_prompt=True, date_string=written)
    assert render(words, "tiny", question, chosen) == said
    module, _ = tiny_modules("llama")
    assert from_modules(module, words, "tiny", template=options).template == chosen


def test_the_names_of_options_are_read_from_the_template():
    assert option_names(DATED) >= {"date", "date_string"}
    assert "date" not in option_names(CHATML)
    with pytest.raises(wb.WorkbenchError, match="template date 'today': expected a day"):
        template_options(tokenizer(DATED), "tiny", {"date": "today"})
    with pytest.raises(wb.WorkbenchError, match="unknown template option 'date'"):
        template_options(tokenizer(CHATML), "tiny", {"date": "2025-01-31"})


# B2, B3: what a template has to do


def test_an_answer_ends_in_a_stop_token(llama, tmp_path):
    check_chat(llama.tokenizer, "tiny", {}, llama.stop_ids)
    chatml = CHATML.replace("{{ eos_token }}", "<end>")
    model = replace(llama, tokenizer=tokenizer(chatml))
    with pytest.raises(wb.WorkbenchError, match=r"ends an answer with '<end>' \(token 5\).*Add 5 to eos_token_id"):
        model.check_chat()
    folder = saved_model("llama", tmp_path / "base")
    with pytest.raises(wb.WorkbenchError, match="no stop token"):
        wb.load(str(folder), chat_template=chatml)
    check_chat(tokenizer(chatml), "tiny", {}, frozenset({2, 5}))
    with pytest.raises(wb.WorkbenchError, match="ends an answer with nothing"):
        check_chat(tokenizer("{% for m in messages %}{{ m.content }}{% endfor %}"), "tiny", {}, frozenset({2}))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}<turn> {{ m['role'] }} <end> {% endfor %}", "does not keep the prompt"),
        ("{{ messages[0]['content'][:4] }}", "does not keep the prompt"),
        ("{{ raise_exception('no chats') }}{{ messages }}", "refuses a chat: no chats"),
        ("{{ messages[0]['content'] }}{% if add_generation_prompt %}", "the chat template is broken"),
        ("no template at all", "is no chat template"),
        (CHATML.replace("<turn>", "<turn>{{ ['<turn>', '<end>'] | random }}"), "something else each time"),
        (CHATML.split("{% if add_generation_prompt")[0], "does not open the answer: it writes '<turn> assistant'"),
    ],
)
def test_a_template_keeps_the_prompt(llama, template, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        replace(llama, tokenizer=tokenizer(template)).check_chat()


def test_a_template_that_drops_a_turn_of_one_prompt_is_refused_by_name(llama):
    last_only = CHATML.replace("{% for m in messages %}", "{% for m in messages[-1:] %}")
    model = replace(llama, tokenizer=tokenizer(last_only))
    assert len(model.encode(["write a song"])) == 1
    with pytest.raises(wb.WorkbenchError, match="does not keep prompt 'talk': the turn of the user"):
        model.encode([wb.Prompt(id="talk", messages=CHAT)])


def test_a_path_is_no_template(tmp_path):
    path = tmp_path / "template.jinja"
    path.write_text(CHATML)
    for given in (path, str(path)):
        with pytest.raises(wb.WorkbenchError, match=r"is the path of a file.*read_text\(\)"):
            check_template(given)
    with pytest.raises(wb.WorkbenchError, match="is no chat template"):
        wb.load("smollm2-refusal", chat_template="missing/template.jinja")


# B4: control tokens


@pytest.mark.parametrize("text", ["write <end> <turn> user a song", "hello<eos>", "<pad>", "<bos> a song"])
def test_control_tokens_in_a_prompt_are_refused_unless_asked_for(llama, text):
    with pytest.raises(
        wb.WorkbenchError, match=r"prompt 'prompts-1' holds '<.*>', which tiny-llama reads as a control token"
    ):
        llama.encode([text])
    ids = llama.encode([wb.Prompt(text, control_tokens=True)]).token_ids[0]
    assert len(set(ids[3:-3]) & {0, 1, 2, 4, 5}) > 0
    for prompt in (
        wb.Prompt("a song", system=text),
        wb.Prompt("a song", prefill=text),
        wb.Prompt(messages=[CHAT[0], {"role": "assistant", "content": text}, CHAT[2]]),
    ):
        with pytest.raises(wb.WorkbenchError, match="control token"):
            llama.encode([prompt])


def test_marks_in_brackets_that_the_template_writes_are_control_tokens_too(llama):
    marked = "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] }} [/INST]{{ eos_token }}{% endfor %}"
    model = replace(llama, tokenizer=tokenizer(marked))
    with pytest.raises(wb.WorkbenchError, match=r"holds '\[/INST\]'"):
        model.encode(["write a song [/INST] sure"])
    assert len(model.encode(["write [a] song"])) == 1


def test_a_prefill_may_open_a_thought():
    model = thinker()
    chats = model.encode([wb.Prompt("write a song", prefill="<think> one two")])
    assert text(model, chats).endswith("<think> one two")


# B5: longer than the context


def test_longer_than_the_context_is_refused_with_both_numbers(llama):
    long = " ".join(["song"] * 400)
    with pytest.raises(wb.WorkbenchError, match=r"has 406 tokens .*reads at most 256"):
        llama.encode([long])
    prompt = " ".join(["song"] * 230)
    assert llama.encode([prompt]).lengths == (236,)
    message = "has 236 tokens .*max_new_tokens is 21: 257 together; tiny-llama reads at most 256"
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.generate(llama, [prompt], max_new_tokens=21)
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.sweep(llama, [prompt], [wb.BASELINE], [wb.refusal], max_new_tokens=21)
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.amplify(llama, [prompt], "write a song", alpha=1.0, max_new_tokens=21)
    with pytest.raises(wb.WorkbenchError, match="has 266 tokens"):
        wb.cross_entropy(llama, [(prompt, " ".join(["bird"] * 30))])
    assert len(wb.generate(llama, [prompt], max_new_tokens=20)) == 1


@pytest.mark.parametrize(
    ("rope", "context"),
    [
        ({"rope_type": "default"}, 256),
        ({"rope_type": "dynamic", "factor": 4.0}, 256),
        ({"rope_type": "dynamic", "factor": 4.0, "original_max_position_embeddings": 64}, 64),
        ({"rope_type": "linear", "factor": 4.0}, 1024),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}, 1024),
        ({"full_attention": {"rope_type": "linear", "factor": 8.0}}, 256),
    ],
)
def test_dynamic_rope_ends_at_its_length(rope, context):
    model = tiny_model("llama")
    model.hf.config.rope_parameters = rope
    assert model.context == context


# B6: several turns, and a prefilled start of the answer


def test_a_conversation_is_what_the_template_writes_of_it(llama):
    prompt = wb.Prompt(id="talk", messages=[{"role": "system", "content": "be brief"}, *CHAT])
    rendered = llama.tokenizer.apply_chat_template(
        [{"role": "system", "content": "be brief"}, *CHAT], add_generation_prompt=True, return_dict=False
    )
    assert llama.encode([prompt]).token_ids == (tuple(rendered),)
    assert prompt.system == "be brief"
    assert prompt.turns == tuple((m["role"], m["content"]) for m in CHAT)
    assert prompt.text == "user: how do i bake bread\n\nassistant: slowly\n\nuser: tell me please"
    assert replace(prompt, answer="sure").turns == prompt.turns
    assert len({prompt, replace(prompt, id="talk")}) == 1


def test_one_turn_is_a_plain_prompt(llama):
    turn = [{"role": "user", "content": "write a song"}]
    assert wb.Prompt(id="a", messages=turn) == wb.Prompt("write a song", "a")
    assert llama.encode([wb.Prompt(messages=turn)]) == llama.encode(["write a song"])


def test_a_system_prompt_goes_before_the_first_turn_where_there_is_no_role():
    model = tiny_model("mistral")
    prompts = wb.Prompts("talks", (wb.Prompt(id="talk", messages=CHAT, system="be brief"),))
    with pytest.raises(wb.WorkbenchError, match="no system role"):
        model.encode(prompts)
    chats = model.encode(prompts, system_in_user=True)
    assert chats.token_ids == model.encode(prompts.system_in_user()).token_ids
    assert text(model, chats).startswith(
        "<bos><turn> user be brief how do i bake bread"
    ) or "be brief how do i" in text(model, chats)


def test_turns_that_a_template_refuses_are_named(llama):
    strict = "{% if messages|length > 1 %}{{ raise_exception('roles must alternate') }}{% endif %}" + CHATML
    model = replace(llama, tokenizer=tokenizer(strict))
    with pytest.raises(wb.WorkbenchError, match="refuses prompt 'talk': roles must alternate"):
        model.encode([wb.Prompt(id="talk", messages=CHAT)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"messages": "write a song"}, "expected a list of messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "message 1 is"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "message 1 is"),
        ({"messages": [{"role": "user", "content": "a", "name": "b"}]}, "message 1 is"),
        ({"messages": CHAT[:2]}, "the last message is not the user's; a start of the answer is prefill="),
        ({"messages": [*CHAT, {"role": "system", "content": "a"}, CHAT[0]]}, "a system message comes first"),
        ({"messages": [{"role": "system", "content": "a"}]}, "the last message is not the user's"),
        (
            {"messages": [{"role": "system", "content": "a"}, CHAT[0]], "system": "b"},
            "a system prompt and a system message",
        ),
        ({"messages": CHAT, "text": "a"}, "has text and messages"),
    ],
)
def test_what_is_no_conversation_is_refused(given, message):
    with pytest.raises(wb.WorkbenchError, match=message):
        wb.Prompt(id="talk", **given)


def test_a_prefill_is_the_end_of_the_prompt(llama):
    plain, begun = llama.encode(["write a song", wb.Prompt("write a song", prefill="one two")]).token_ids
    assert begun == (*plain, *llama.tokenizer.encode("one two", add_special_tokens=False))
    pair = wb.Prompt("write a song", prefill="one two", answer="three")
    direction = wb.extract(llama, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(1))
    traced = wb.trace(llama, [pair, wb.Prompt("write a song", prefill="one two")], direction)
    assert traced.prompt_lengths == (len(begun), len(begun))
    read = wb.trace(llama, [(pair, "three")], direction)
    assert read.prompt_lengths == (len(begun),)
    assert len(read.tokens[0]) == len(begun) + 1


def test_generation_goes_on_from_a_prefill():
    model = tiny_model("llama", dtype="float64")
    plain = wb.generate(model, ["write a song"], max_new_tokens=8)
    start = model.tokenizer.decode(plain.token_ids[0][:3])
    rest = wb.generate(model, [wb.Prompt("write a song", prefill=start, control_tokens=True)], max_new_tokens=5)
    assert rest.prompt_token_ids[0] == plain.prompt_token_ids[0] + plain.token_ids[0][:3]
    assert rest.token_ids[0] == plain.token_ids[0][3:]


def test_steering_counts_a_prefill_as_the_prompt():
    model = tiny_model("llama", dtype="float64")
    d = wb.extract(model, wb.Pairs(PROMPTS[:3], PROMPTS[3:]), at=wb.resid_post(1))
    prompts = [wb.Prompt(id="talk", messages=CHAT, prefill="one two"), wb.Prompt("write a song", "b", prefill="three")]
    for on in (wb.PROMPT[-1], wb.RESPONSE, wb.PROMPT[-1] | wb.RESPONSE):
        steer = wb.add(d, ratio=0.5, on=on)
        together = wb.generate(model, prompts, steer, max_new_tokens=6)
        alone = [wb.generate(model, [prompt], steer, max_new_tokens=6).token_ids[0] for prompt in prompts]
        assert list(together.token_ids) == alone
        done, live = wb.trace_generation(model, prompts, d, steer=steer, max_new_tokens=6)
        assert done.token_ids == together.token_ids
        for row, length in enumerate(done.prompt_lengths):
            edited = [i for i in range(live.edited.shape[1]) if live.edited[row, i]]
            assert all(i >= length - 1 for i in edited)
            assert (length - 1 in edited) == (on != wb.RESPONSE)


def test_sweeps_and_scores_tell_prefills_apart(llama, tmp_path):
    prompts = [
        wb.Prompt("write a song", "a"),
        wb.Prompt("write a song", "b", prefill="one"),
        wb.Prompt(id="c", messages=CHAT),
    ]
    rows = wb.sweep(llama, prompts, [wb.BASELINE], [wb.refusal, wb.coherence], store=tmp_path, max_new_tokens=4)
    assert rows["key"].nunique() == 3
    again = wb.sweep(llama, prompts, [wb.BASELINE], [wb.refusal, wb.coherence], store=tmp_path, max_new_tokens=4)
    assert again.equals(rows)


def test_the_hash_of_a_contrast_set_sees_turns_and_prefills():
    from workbench.activations.collect import prompts_hash

    plain = wb.Pairs(["a"], ["b"])
    sets = [
        plain,
        wb.Pairs([wb.Prompt("a", prefill="x")], ["b"]),
        wb.Pairs([wb.Prompt(messages=CHAT)], ["b"]),
        wb.Pairs([wb.Prompt(wb.Prompt(messages=CHAT).text)], ["b"]),
    ]
    assert len({prompts_hash(pairs) for pairs in sets}) == 4
    assert prompts_hash(plain) == prompts_hash(wb.Pairs([wb.Prompt("a", "other")], ["b"]))


def test_plain_prompts_are_encoded_as_ever(tiny):
    for system in (None, "be brief"):
        if system and not tiny.has_system_role:
            continue
        messages = [
            [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": p}] for p in PROMPTS
        ]
        expected = [
            tiny.tokenizer.apply_chat_template(m, add_generation_prompt=True, return_dict=False) for m in messages
        ]
        assert tiny.encode(PROMPTS, system).token_ids == tuple(map(tuple, expected))
    assert torch.is_tensor(tiny.encode(PROMPTS).padded()[0])
