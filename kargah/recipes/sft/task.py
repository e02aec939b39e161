"""The network and its settings."""

from kargah.recipes.decoders.data import TokenData
from kargah.recipes.decoders.task import DecoderTask, network_of, taught
from kargah.recipes.runtime import Request


def build_task(data: TokenData, request: Request) -> DecoderTask:
    """What it writes by now is its answer to the first held-out question."""
    network, settings, decisions = network_of(data, request)
    return taught(DecoderTask(network, data, settings, decisions, request, opening(data)))


def opening(data: TokenData) -> str:
    first = data.samples_of("validation")[0].sequences[0]
    text: str = data.vocabulary.tokenizer.decode(first.ids[: int(first.learnt.argmax())])
    return text
