"""A score that means something: how many real tokens a second three well-known models would learn from here.

FLOPs a token: 6 · parameters outside the embeddings (4 where only adapters learn: the frozen weights need no gradient), and 12 · layers ·
width · length for the attention. Of the measured rate the loop uses a part that was measured too (benchmarks/training.py, MFU).
"""

from dataclasses import dataclass

from kargah.contract.measurement import Measurement
from kargah.hardware.schemas import Score


@dataclass(frozen=True)
class Reference:
    """``parameters``: those that every token is multiplied with. ``passes``: how often, forward and backward, times two."""

    name: str
    parameters: int
    layers: int
    width: int
    tokens: int
    passes: int
    utilisation: float

    @property
    def flops_per_token(self) -> int:
        return self.passes * self.parameters + 12 * self.layers * self.width * self.tokens


REFERENCES = (
    Reference("minilm", 10_646_784, 6, 384, 40, 6, 0.60),
    Reference("bert_base", 85_054_464, 12, 768, 64, 6, 0.60),
    Reference("decoder_lora", 494_032_768, 24, 896, 256, 4, 0.57),
)


def of(measurement: Measurement) -> list[Score]:
    """By the rate of fp32 on the processor, with as many threads as do best."""
    gflops = measurement.rate("fp32") or 0.0
    return [_score(reference, gflops) for reference in REFERENCES]


def _score(reference: Reference, gflops: float) -> Score:
    rate = gflops * 1e9 * reference.utilisation / reference.flops_per_token
    return Score(
        model=reference.name,
        tokens=reference.tokens,
        tokens_per_second=float(f"{rate:.3g}"),
        samples_per_second=float(f"{rate / reference.tokens:.3g}"),
        gflops=gflops,
        utilisation=reference.utilisation,
    )
