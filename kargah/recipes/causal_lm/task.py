"""The network and its settings."""

from kargah.recipes.causal_lm.spec import CausalLMSpec
from kargah.recipes.decoders.data import TokenData
from kargah.recipes.decoders.task import DecoderTask, network_of, taught
from kargah.recipes.runtime import Request

_OPENING_CHARACTERS = 40
#: Always the likeliest token would soon go round in a circle.
_TEMPERATURE = 0.8


def build_task(data: TokenData, request: Request) -> DecoderTask:
    network, settings, decisions = network_of(data, request)
    return taught(DecoderTask(network, data, settings, decisions, request, opening(data, request), _TEMPERATURE))


def opening(data: TokenData, request: Request) -> str:
    """What was asked for, or the beginning of the first held-out text."""
    spec, tokenizer = request.spec, data.vocabulary.tokenizer
    assert isinstance(spec, CausalLMSpec)
    begin = tokenizer.bos_token or "" if data.vocabulary.prefix else ""
    if spec.sample_prompt:
        return begin + spec.sample_prompt
    first = data.samples_of("validation")[0].sequences[0].ids
    text: str = tokenizer.decode(first[:_OPENING_CHARACTERS], skip_special_tokens=True)
    return begin + text[:_OPENING_CHARACTERS].rsplit(" ", 1)[0]
