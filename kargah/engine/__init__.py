"""What makes a training step cheap without changing what it computes: no padding, few vectors, cheap dropout.

Torch and transformers only; a recipe takes from here what fits its model.
"""
