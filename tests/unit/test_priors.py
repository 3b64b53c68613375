"""pi_LLM on models of known distribution: every rung gives the number that its provenance names."""

import json
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult

from langchain_linvit.accounting import Account
from langchain_linvit.calls import Caller, Completion, Retry, SyncIO, drive
from langchain_linvit.environments.base import ParsedAction, extract_action, match_action
from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel
from langchain_linvit.models.sampling import TokenLogprob
from langchain_linvit.priors import (
    MAX_WEIGHT,
    PROBABILITY_FLOOR,
    ChatPrior,
    CompletionScoringPrior,
    PolicyPrior,
    Proposal,
    UniformPrior,
    by_sequence,
    json_object,
    label_weights,
    parse_subgoal,
    stated_weights,
)
from langchain_linvit.prompts import Situation, request_kind

WEIGHTS = {"go left": 0.5, "go right": 0.3, "wait": 0.2}


def situation(admissible=tuple(WEIGHTS)):
    def parse(text):
        return match_action(extract_action(text), admissible)

    return Situation("A corridor.", "reach 3", "cell 1", admissible=admissible, parse=parse)


def policy(messages, tools):
    kind = request_kind(messages)
    if kind == "choose by number":
        return dict(zip("123", WEIGHTS.values(), strict=True))
    if kind == "weigh actions":
        return {'Let me see.\n```json\n{"1": 0.6, "3": 0.2}\n```': 1}
    if kind == "next subgoal":
        return {"Subgoal: reach 2": 0.7, "Subgoal: reach 0": 0.3}
    return {f"Action: {action}": weight for action, weight in WEIGHTS.items()}


def model(**fields):
    return PolicyChatModel(policy=policy, **fields)


def proposed(prior, candidates=None, where=None, account=None, **fields):
    caller = Caller(SyncIO(), account or Account(), retry=Retry(1, 0), **fields)
    return drive(prior.propose(where or situation(), candidates, caller, path=["node"]))


def probabilities(proposals):
    return {proposal.text: math.exp(proposal.log_prob) for proposal in proposals}


def provenances(proposals):
    return {proposal.provenance for proposal in proposals}


# scoring all actions


def test_labels_give_the_models_exact_distribution():
    account = Account()
    proposals = proposed(ChatPrior(model(), method="label"), account=account)
    assert probabilities(proposals) == pytest.approx(WEIGHTS)
    assert provenances(proposals) == {"exact"}
    assert account.spent["llm_calls"] == 1


def test_labels_follow_the_temperature_that_defines_the_prior():
    proposals = proposed(ChatPrior(model(), method="label", temperature=0.5))
    squares = {action: weight**2 for action, weight in WEIGHTS.items()}
    expected = {action: square / sum(squares.values()) for action, square in squares.items()}
    assert probabilities(proposals) == pytest.approx(expected)


def test_a_stated_temperature_wins_over_a_bound_one():
    proposals = proposed(ChatPrior(model().bind(temperature=1.7), method="label", temperature=0.5))
    assert probabilities(proposals)["go left"] == pytest.approx(0.25 / 0.38)


def test_m_candidates_of_a_scored_prior_are_the_likeliest():
    assert [proposal.text for proposal in proposed(ChatPrior(model(), method="label"), 2)] == ["go left", "go right"]


def test_verbalised_probabilities_are_normalised_and_the_rest_gets_the_floor():
    proposals = proposed(ChatPrior(model(), method="verbalised"))
    assert probabilities(proposals) == pytest.approx({"go left": 0.75, "wait": 0.25, "go right": PROBABILITY_FLOOR})
    assert provenances(proposals) == {"verbalised"}


UNREADABLE = ["I can't say.", "", "{}", "7", "none of them"]


@pytest.mark.parametrize(
    ("method", "answer"),
    [("label", answer) for answer in UNREADABLE]
    + [("verbalised", answer) for answer in (*UNREADABLE, '{"9": 1}', '{"1": -1, "2": "high"}', "[0.5, 0.5]")],
)
def test_an_unreadable_answer_leaves_all_actions_alike(method, answer):
    proposals = proposed(ChatPrior(PolicyChatModel(policy=lambda m, t: {answer: 1}), method=method))
    assert probabilities(proposals) == pytest.approx(dict.fromkeys(WEIGHTS, 1 / 3))
    assert provenances(proposals) == {"uniform"}


@pytest.mark.parametrize("actions", [(), ("wait",)])
@pytest.mark.parametrize("method", ["label", "verbalised"])
def test_where_there_is_no_choice_no_model_is_asked(method, actions):
    account = Account()
    proposals = proposed(ChatPrior(model(), method=method), where=situation(actions), account=account)
    assert probabilities(proposals) == dict.fromkeys(actions, 1.0)
    assert account.spent == {}


def test_open_ended_actions_cannot_all_be_scored():
    for prior in (ChatPrior(model()), UniformPrior(), CompletionScoringPrior(None)):
        with pytest.raises(InvalidSettingError, match="pass candidates=m"):
            proposed(prior, None, where=situation(None))


# sampling


def test_frequencies_are_smoothed_by_the_formula():
    replies = ["Action: wait", "go left", "Action: WAIT.", "Action: fly", "wait"]
    proposals = proposed(ChatPrior(ScriptedChatModel(replies=replies), smoothing=0.5), 5)
    total = 5 + 0.5 * 3
    assert [(p.text, bool(p.error)) for p in proposals] == [("wait", False), ("go left", False), ("Action: fly", True)]
    assert list(probabilities(proposals).values()) == pytest.approx([3.5 / total, 1.5 / total, 1.5 / total])
    assert provenances(proposals) == {"sampled"}


def test_without_smoothing_frequencies_are_shares():
    prior = ChatPrior(ScriptedChatModel(replies=["wait", "go left", "wait", "wait"]), smoothing=0)
    assert probabilities(proposed(prior, 4)) == pytest.approx({"wait": 0.75, "go left": 0.25})


def test_many_samples_come_near_the_distribution():
    found = probabilities(proposed(ChatPrior(model(), method="sampled"), 128, seed=1))
    assert found == pytest.approx(WEIGHTS, abs=0.1)


def test_sequences_are_normalised_by_length_and_soft_maxed_over_distinct_ones():
    two_tokens = [TokenLogprob("go", -1.0), TokenLogprob(" left", -3.0)]
    one_token = [TokenLogprob("wait", -1.0)]
    read = [(("go left", None), _completion("go left", two_tokens)), (("wait", None), _completion("wait", one_token))]
    left, wait = math.exp(-2.0), math.exp(-1.0)
    expected = {"go left": left / (left + wait), "wait": wait / (left + wait)}
    assert probabilities(by_sequence(read)) == pytest.approx(expected)
    assert probabilities(by_sequence([*read, *read, read[0]])) == pytest.approx(expected)


def test_distinct_strings_of_one_action_add():
    spelled = [("wait", None), ("wait", None), ("go left", None)]
    texts = ["Action: wait", "Action: Wait.", "Action: go left"]
    read = [(key, _completion(text, [TokenLogprob(text, -1.0)])) for key, text in zip(spelled, texts, strict=True)]
    assert probabilities(by_sequence(read)) == pytest.approx({"wait": 2 / 3, "go left": 1 / 3})


def test_what_a_model_thinks_before_its_action_does_not_count():
    thought = [
        TokenLogprob("Hmm", -50.0),
        TokenLogprob("\n", 0.0),
        TokenLogprob("Action:", -1.0),
        TokenLogprob(" wait", -1),
    ]
    plain = [TokenLogprob("Action:", -1.0), TokenLogprob(" go left", -1.0)]
    read = [
        (("wait", None), _completion("Hmm\nAction: wait", thought)),
        (("go left", None), _completion("Action: go left", plain)),
    ]
    assert probabilities(by_sequence(read)) == pytest.approx({"wait": 0.5, "go left": 0.5})


def test_hopeless_log_probabilities_do_not_underflow():
    read = [(("wait", None), _completion("wait", [TokenLogprob("wait", -9999.0)]))]
    assert probabilities(by_sequence(read)) == {"wait": 1.0}


def test_sequences_of_a_real_model_rank_as_its_distribution():
    proposals = proposed(ChatPrior(model(), method="sequence"), 60)
    assert provenances(proposals) == {"sequence"}
    assert [p.text for p in sorted(proposals, key=lambda p: -p.log_prob)] == list(WEIGHTS)
    assert sum(probabilities(proposals).values()) == pytest.approx(1)


def test_missing_log_probabilities_leave_frequencies():
    class Forgetful(ScriptedChatModel):
        logprobs: bool = False
        top_logprobs: int = 0

    proposals = proposed(ChatPrior(Forgetful(replies=["wait", "wait"]), method="sequence"), 2)
    assert provenances(proposals) == {"sampled"}


def _completion(text, tokens):
    return Completion(text, AIMessage(text), tokens)


@pytest.mark.parametrize("method", ["sampled", "sequence"])
def test_all_admissible_actions_set_the_number_of_samples(method):
    account = Account()
    proposed(ChatPrior(model(), method=method), None, account=account)
    assert account.spent["llm_calls"] == len(WEIGHTS)
    assert proposed(ChatPrior(model(), method=method), None, where=situation(())) == []


@pytest.mark.parametrize("method", ["sampled", "sequence"])
def test_unreadable_answers_are_proposals_with_an_error(method):
    garbage = PolicyChatModel(policy=lambda m, t: {"x" * 500 + "\nno idea": 1})
    [proposal] = proposed(ChatPrior(garbage, method=method), 3)
    assert "no line `Action: <action>`" in proposal.error
    assert len(proposal.text) < 300
    assert proposal.log_prob <= 0


def test_a_failing_model_raises_and_a_spent_budget_refuses():
    with pytest.raises(ModelCallError):
        proposed(ChatPrior(model(failure_rate=1.0)), 2)
    with pytest.raises(BudgetExhaustedError):
        proposed(ChatPrior(model()), 2, account=Account(completions=0))


def test_a_small_budget_gives_fewer_candidates():
    account = Account(completions=2)
    assert sum(Counter(p.text for p in proposed(ChatPrior(model()), 5, account=account)).values()) <= 2
    assert (account.completions, account.refused) == (0, "completions")


# the ladder


@pytest.mark.parametrize(
    ("with_logprobs", "candidates", "provenance"),
    [(True, None, "exact"), (True, 3, "sequence"), (False, None, "verbalised"), (False, 3, "sampled")],
)
def test_auto_takes_the_best_rung_that_the_model_offers(with_logprobs, candidates, provenance):
    def reply(messages):
        return next(iter(policy(messages, [])))

    offered = model() if with_logprobs else ScriptedChatModel(replies=[reply] * 3)
    assert provenances(proposed(ChatPrior(offered), candidates)) == {provenance}


@pytest.mark.parametrize("method", ["label", "sequence"])
def test_a_rung_that_the_model_lacks_is_refused(method):
    with pytest.raises(InvalidSettingError, match="needs token log-probabilities, which ScriptedChatModel does not"):
        ChatPrior(ScriptedChatModel(replies=[]), method=method)


@pytest.mark.parametrize(
    "settings", [{"smoothing": -1}, {"smoothing": math.nan}, {"level": "subgoal", "method": "label"}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(InvalidSettingError):
        ChatPrior(model(), **settings)


# subgoals and actions


def test_subgoals_are_proposed_as_text():
    proposals = proposed(ChatPrior(model(), level="subgoal", method="sampled"), 40)
    assert set(probabilities(proposals)) == {"reach 2", "reach 0"}


@pytest.mark.parametrize(
    ("text", "subgoal"),
    [
        ("Subgoal: clear b1", "clear b1"),
        ("I think.\nsubgoal: a\nSubgoal: b ", "b"),
        ("**Subgoal:** clear b1", "clear b1"),
        ("clear b1", "clear b1"),
        ("Subgoal:", None),
        ("", None),
        ("one\ntwo", None),
    ],
)
def test_a_subgoal_is_read_from_its_line(text, subgoal):
    parsed = parse_subgoal(text)
    assert parsed.action == subgoal
    assert (parsed.error is None) == (subgoal is not None)


def test_a_long_subgoal_is_cut():
    assert len(parse_subgoal("Subgoal: " + "x" * 10_000).action) < 330


def test_a_subgoal_is_carried_out_until_the_model_is_done():
    scripted = ScriptedChatModel(replies=["Action: wait", " Done. ", "fly", "Done"])
    prior, caller = ChatPrior(scripted, level="subgoal"), Caller(SyncIO())
    acts = [drive(prior.act(situation(), subgoal, caller)) for subgoal in ("reach 2", "reach 2", "reach 2", None)]
    assert acts[:2] == [ParsedAction("wait"), None]
    assert acts[2].error
    assert acts[3].error  # without a subgoal, `Done` is no action
    kinds = [request_kind(prompt) for prompt in scripted.prompts]
    assert kinds == ["carry out subgoal"] * 3 + ["next action"]


def test_a_prior_of_ones_own_acts_by_its_likeliest_proposal():
    class Mine(PolicyPrior):
        def __init__(self, *found):
            self.found = found

        async def propose(self, situation, candidates, caller, *, path=()):
            assert candidates == 1
            return [Proposal(text, 0.0, "uniform", error) for text, error in self.found]

    def act(*found):
        return drive(Mine(*found).act(situation(), None, Caller(SyncIO())))

    assert act(("wait", None)) == ParsedAction("wait")
    assert act(("fly", "no wings")) == ParsedAction(None, "no wings")
    assert act() == ParsedAction(None, "the prior proposed nothing")


# priors without a chat model


def test_the_uniform_prior_needs_no_model():
    assert probabilities(proposed(UniformPrior())) == pytest.approx(dict.fromkeys(WEIGHTS, 1 / 3))
    drawn = proposed(UniformPrior(), 2, seed=4)
    assert drawn == proposed(UniformPrior(), 2, seed=4)
    assert probabilities(drawn) == pytest.approx({proposal.text: 1 / 2 for proposal in drawn})
    assert len(drawn) == 2
    assert len({tuple(p.text for p in proposed(UniformPrior(), 2, seed=seed)) for seed in range(20)}) > 3
    assert proposed(UniformPrior(), where=situation(())) == []


class Echo(SyncIO):
    """A completions model whose last token is the action, by its weight."""

    async def generate(self, model, prompts, seconds, **kwargs):
        self.prompts = prompts
        return LLMResult.model_validate({"generations": [[_echoed(prompt)] for prompt in prompts]})


def _echoed(prompt):
    assert prompt.endswith("\n"), "without its end, an action would score as the beginning of longer ones"
    start = prompt.rindex("Action:") + len("Action:")
    logprobs = {"text_offset": [0, start], "token_logprobs": [None, 3 * math.log(WEIGHTS[prompt[start + 1 : -1]])]}
    return {"text": prompt, "generation_info": {"logprobs": logprobs}}


def test_echo_scoring_normalises_the_probability_of_whole_strings():
    cubes = {action: weight**3 for action, weight in WEIGHTS.items()}
    expected = {action: cube / sum(cubes.values()) for action, cube in cubes.items()}
    io = Echo()
    proposals = drive(CompletionScoringPrior(None).propose(situation(), None, Caller(io)))
    assert probabilities(proposals) == pytest.approx(expected)
    assert provenances(proposals) == {"exact"}
    assert all("<state>\ncell 1\n</state>" in prompt for prompt in io.prompts)
    best = drive(CompletionScoringPrior(None).propose(situation(), 1, Caller(Echo())))
    assert [proposal.text for proposal in best] == ["go left"]
    assert drive(CompletionScoringPrior(None).propose(situation(()), None, Caller(Echo()))) == []


# reading what models write


def test_label_weights_add_spellings_of_one_number_at_its_first_token():
    tokens = [
        TokenLogprob("The", -0.1, {"A": -3.0}),
        TokenLogprob(" 2", math.log(0.5), {"2": math.log(0.2), "1.": math.log(0.1), "9": math.log(0.1), "x": -1.0}),
        TokenLogprob("1", 0.0),
    ]
    assert label_weights(tokens, 3) == pytest.approx({1: 0.7, 0: 0.1})
    assert label_weights(tokens[:1], 3) is None
    assert label_weights([TokenLogprob("1", -9999.0)], 3) is None


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("2", {1: 1.0}),
        (" 2. ", {1: 1.0}),
        ('{"1": 0.5, "2": 0.25, "7": 1, "x": 1, "3": 0}', {0: 0.5, 1: 0.25}),
        ('I weigh {them}: {"2": 1}', {1: 1.0}),
        ('{"1": 1e308, "2": 1e308}', None),
        ('{"1": 1e308, "2": 1}', {1: 1.0}),
        ('{"1": 1e-300, "2": 1e9}', {0: 1e-300, 1: 1e9}),
        (f'{{"1": 1{"0" * 400}, "2": 1}}', {1: 1.0}),
        (f'{{"1": {"9" * 9000}}}', None),
        ('{"1": NaN, "2": Infinity}', None),
        ('{"1": {"2": [3]}}', None),
        ("[" * 20_000, None),
        ('{"a":' * 4_000, None),
        ("x" * 20_000, None),
    ],
)
def test_stated_weights_take_what_is_sound(text, weights):
    assert stated_weights(text, 3) == weights


@given(
    st.dictionaries(st.sampled_from("123"), st.one_of(st.floats(), st.integers(), st.booleans(), st.text()), max_size=3)
)
def test_whatever_is_stated_gives_a_distribution_or_none(stated):
    weights = stated_weights(json.dumps(stated), 3)
    answer = PolicyChatModel(policy=lambda m, t: {json.dumps(stated): 1})
    proposals = proposed(ChatPrior(answer, method="verbalised"))
    assert sum(probabilities(proposals).values()) == pytest.approx(1, abs=3 * PROBABILITY_FLOOR)
    assert all(math.isfinite(proposal.log_prob) for proposal in proposals)
    assert weights is None or all(0 < weight <= MAX_WEIGHT for weight in weights.values())


def test_json_is_found_in_the_midst_of_an_answer():
    assert json_object('So: ```json\n{"a": {"b": 1}}\n``` done {') == {"a": {"b": 1}}
    assert json_object("{" * 10_000) is None
    assert json_object("no braces") is None
