"""Talks as text: rendered by the tokenizer's own template, with the places of what the assistant says in it."""

from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from kargah.recipes.errors import ChatTemplateUnfit

ASSISTANT = "assistant"
#: A special token of our own tokenizers; in others it is text like any other.
SPEAKERS = {name: f"<|{name}|>" for name in ("system", "user", ASSISTANT, "tool")}
#: For tokenizers that have none: the speaker's name, what is said, the token of the end after the assistant's words (as Zephyr's, but for
#: the ends of the others' words).
SIMPLE_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)

Turn = dict[str, str]
Span = tuple[int, int]


def rendered(tokenizer: Any, turns: Sequence[Turn]) -> tuple[str, list[Span]]:
    """The talk up to the assistant's last words, and where those words stand (with the token that ends them, without the blank after it).

    A template that writes a talk otherwise when it goes on (and drops thoughts, say) lets only the last answer be learnt. Raises
    ChatTemplateUnfit when not even that one can be told from what stands before it.
    """
    last = max(index for index, turn in enumerate(turns) if turn["role"] == ASSISTANT)
    talk = list(turns[: last + 1])
    whole = said(tokenizer, talk)
    spans = [_span(tokenizer, talk, index, whole) for index, turn in enumerate(talk) if turn["role"] == ASSISTANT]
    if spans[-1] is None:
        raise ChatTemplateUnfit(field="base_model", detail=whole[:200])
    return whole, [span for span in spans if span] if all(spans) else [spans[-1]]


def said(tokenizer: Any, turns: Sequence[Turn], asks: bool = False) -> str:
    """``asks``: up to where the assistant begins to speak. Raises ChatTemplateUnfit."""
    try:
        text: str = tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=asks)
    except (TemplateError, TypeError, ValueError) as error:
        raise ChatTemplateUnfit(field="base_model", detail=str(error)[:200]) from error
    return text


def _span(tokenizer: Any, talk: list[Turn], index: int, whole: str) -> Span | None:
    before, after = said(tokenizer, talk[:index], asks=True), said(tokenizer, talk[: index + 1]).rstrip()
    if not (whole.startswith(before) and whole.startswith(after) and len(before) < len(after)):
        return None
    return len(before), len(after)
