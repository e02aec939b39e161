"""Texts that a model writes: token by token, by ``generate`` of transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from kargah.engine import devices
from kargah.engine.attention import use_packed_attention


@dataclass(frozen=True)
class Manner:
    """``temperature`` 0: always the likeliest token. ``top_p``: of the likeliest tokens that together have this probability
    (Holtzman et al. 2020). The same seed writes the same text."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@torch.inference_mode()
def written(model: Any, tokenizer: Any, opening: str, manner: Manner, stop: Sequence[int]) -> str:
    """What ``model`` writes after ``opening``, which has its special tokens where it needs any. An opening that leaves no room is cut at
    its beginning. Torch's random state, the model's mode and its attention are left as they were."""
    ids = tokenizer.backend_tokenizer.encode(opening, add_special_tokens=False).ids
    room = int(getattr(model.config, "max_position_embeddings", 0) or 1 << 20)
    new = min(manner.max_new_tokens, max(1, room // 2))
    ids = ids[-(room - new) :] or [tokenizer.bos_token_id or tokenizer.eos_token_id or 0]
    sampled = (
        {"do_sample": True, "temperature": manner.temperature, "top_p": manner.top_p, "top_k": 0}
        if manner.temperature
        else {"do_sample": False}
    )
    device = devices.of(model)
    given = torch.tensor([ids]).to(device)
    was_training, attention = model.training, model.config._attn_implementation
    before = devices.random_state(device)
    model.eval()
    model.set_attn_implementation("sdpa")
    try:
        torch.manual_seed(manner.seed)
        found = model.generate(
            given, attention_mask=torch.ones_like(given), max_new_tokens=new, eos_token_id=list(stop) or None,
            pad_token_id=(list(stop) or [0])[0], **sampled,
        )  # fmt: skip
    finally:
        devices.set_random_state(before, device)
        model.train(was_training)
        if attention != "sdpa":
            use_packed_attention(model)
    text: str = tokenizer.decode(found[0, len(ids) :].cpu(), skip_special_tokens=True)
    return text.rstrip("\ufffd")  # of a letter whose last bytes were not written any more
