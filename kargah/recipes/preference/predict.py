"""Answer a question or an instruction, by the folder of a model that learnt to."""

from kargah.recipes.decoders.predicting import load_answerer as load

__all__ = ["load"]
