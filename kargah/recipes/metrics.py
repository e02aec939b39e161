"""Facts about metrics by name, for whoever shows or compares them. Computing them is the recipes' work (``measures``)."""

_OF_RETRIEVAL = ("ndcg_at_10", "mrr", "recall_at_1", "recall_at_10")
_OF_TEXTS = ("rouge1", "rouge2", "rougeL", "chrf")
#: Of held-out rows, in the order in which a table shows them.
OF_QUALITY = (
    *("accuracy", "macro_f1", "weighted_f1", "micro_f1", "f1", "exact_match", "precision", "recall"),
    *("squad_f1", "squad_exact_match", "token_accuracy", "perplexity", "bits_per_byte"),
    *("preference_accuracy", "reward_margin", *_OF_TEXTS, *_OF_RETRIEVAL, "spearman", "r2", "mae", "rmse"),
)
LOWER_IS_BETTER = frozenset({"loss", "eval_loss", "mae", "rmse", "perplexity", "bits_per_byte"})
#: Between 0 and 1, told in per cent.
SHARES = frozenset({"eval_accuracy", *OF_QUALITY}) - {
    *("perplexity", "bits_per_byte", "reward_margin", "chrf", *_OF_RETRIEVAL[:2], "spearman", "r2", "mae", "rmse"),
}
