"""Packed decoders, chunked cross-entropy and folded adapters compute what transformers, torch and peft compute."""

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from kargah.engine.adapters import QuickLoraLinear, make_adapters_cheap
from kargah.engine.causal import FAMILIES, UnpaddedDecoder, learnt_after
from kargah.engine.losses import cross_entropy, log_likelihoods
from kargah.engine.packing import Packed

SIZES: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "intermediate_size": 64, "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip
LENGTHS, PROMPTS = (7, 1, 30, 12), (3, 0, 20, 0)


def decoder(family: str) -> Any:
    torch.manual_seed(1)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SIZES))


def sequences() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(5, 300, (length,), generator=generator).tolist() for length in LENGTHS]


def padded_loss(model: Any, rows: list[list[int]]) -> Tensor:
    """As Hugging Face computes it: padded on the right, -100 where nothing is learnt."""
    ids = torch.zeros(len(rows), max(LENGTHS), dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, (row, prompt) in enumerate(zip(rows, PROMPTS, strict=True)):
        ids[place, : len(row)], mask[place, : len(row)] = torch.tensor(row), 1
        labels[place, prompt : len(row)] = torch.tensor(row[prompt:])
    loss: Tensor = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
    return loss


def packed_loss(model: Any, rows: list[list[int]]) -> Tensor:
    packed = Packed.of(rows)
    return UnpaddedDecoder(model).loss(packed, learnt_after(list(PROMPTS), packed))


def assert_same_gradients(ours: nn.Module, theirs: nn.Module) -> None:
    compared = 0
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None and other.grad is not None and float(other.grad.norm()):
            compared += 1
            assert float((one.grad - other.grad).norm() / other.grad.norm()) <= 1e-5, name
    assert compared


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_packed_decoder_learns_what_the_padded_one_learns(family: str) -> None:
    theirs = decoder(family)
    ours = copy.deepcopy(theirs)
    expected, found = padded_loss(theirs, sequences()), packed_loss(ours, sequences())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    expected.backward()
    found.backward()
    assert_same_gradients(ours, theirs)


def test_folded_adapters_are_pefts_and_take_their_gradients() -> None:
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    torch.manual_seed(2)
    theirs = get_peft_model(decoder("llama"), config)
    for name, parameter in theirs.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)  # peft begins at zero, where half of the gradients are zero too
    ours = copy.deepcopy(theirs)
    assert make_adapters_cheap(ours) == 2 * 7
    expected = padded_loss(theirs, sequences())
    found = packed_loss(ours.get_base_model(), sequences())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    expected.backward()
    found.backward()
    assert_same_gradients(ours, theirs)
    with ours.disable_adapter():
        torch.testing.assert_close(packed_loss(ours.get_base_model(), sequences()), packed_loss(decoder("llama"), sequences()))
    merged = ours.merge_and_unload()
    assert not any(isinstance(module, QuickLoraLinear) for module in merged.modules())
    torch.testing.assert_close(packed_loss(merged, sequences()), found.detach(), rtol=1e-5, atol=1e-6)


def test_folded_adapters_learn_in_half_precision_too() -> None:
    torch.manual_seed(2)
    model = get_peft_model(decoder("llama"), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    make_adapters_cheap(model)
    expected = packed_loss(model.get_base_model(), sequences())
    with torch.autocast("cpu", torch.bfloat16):
        found = packed_loss(model.get_base_model(), sequences())
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)
    found.backward()
    assert all(parameter.grad is not None for name, parameter in model.named_parameters() if "lora_B" in name)


def test_adapters_that_drop_or_decompose_are_left_to_peft() -> None:
    for options in ({"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}):
        config = LoraConfig(r=4, target_modules=["q_proj"], bias="none", task_type="CAUSAL_LM", **options)
        assert make_adapters_cheap(get_peft_model(decoder("llama"), config)) == 0


@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_cross_entropy_in_parts_is_torchs(chunk_rows: int) -> None:
    torch.manual_seed(3)
    hidden, output = torch.randn(10, 6, requires_grad=True), torch.randn(40, 6, requires_grad=True)
    targets = torch.randint(0, 40, (10,))
    expected = nn.functional.cross_entropy(hidden @ output.T, targets)
    found = cross_entropy(hidden, output, targets, chunk_rows)
    torch.testing.assert_close(found, expected)
    ours = torch.autograd.grad(3.0 * found, (hidden, output))
    for one, other in zip(ours, torch.autograd.grad(3.0 * expected, (hidden, output)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("ours", [cross_entropy, lambda *given: -log_likelihoods(*given).mean()], ids=["cross-entropy", "likelihoods"])
def test_under_autocast_losses_in_parts_are_torchs_to_the_digits_that_it_keeps(ours: Any) -> None:
    """Products in bf16, sums of exponentials in fp32; the gradients as well."""
    torch.manual_seed(5)
    hidden, output = torch.randn(50, 32, requires_grad=True), torch.randn(200, 32, requires_grad=True)
    targets, found = torch.randint(0, 200, (50,)), []
    for loss_of in (lambda: nn.functional.cross_entropy((hidden @ output.T).float(), targets), lambda: ours(hidden, output, targets, 16)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of()
        found.append((loss, *torch.autograd.grad(loss, (hidden, output))))
    (expected, *gradients), (loss, *own) = found
    assert loss.dtype == torch.float32 and abs(float(loss - expected)) < 1e-4 * abs(float(expected))
    assert all(float((one - other).norm() / other.norm()) < 0.01 for one, other in zip(own, gradients, strict=True))
