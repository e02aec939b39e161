"""What can be wrong with a request to train or to predict. All are found before the first step, and name the place.

::

    BadInput
    ├── RoleMissing · ColumnMissing      no column for a role; a column that the data does not have
    ├── ColumnsDiffer                    a further data set with other columns than the first
    ├── TooFewRows · OneClassOnly        nothing can be learnt from these rows
    ├── NotNumeric                       a regression target that is no number
    ├── SplitUnclear · SplitLacks · LabelNotTaught       a column that should say which rows train and which test
    ├── LabelsUnlike · NothingToEvaluate data to evaluate on: none of the model's labels, or no row left
    ├── TagsUnaligned · AnswerUnplaced   words without a tag each; an answer that does not stand in its text
    ├── MetricUnfit · SettingUnfit       a primary metric that this problem does not have; a setting that could do nothing
    ├── NoTokenizer                      a model that knows no tokens, asked for them
    ├── UnsafeWeights · WeightsDamaged · BaseModelUnusable
    ├── ChatTemplateUnfit                a template of a base model's tokenizer that does not tell who says what
    ├── SequenceTooLong · AdapterNeedsBase · QuantizationNeedsGpu       settings that this model or this machine does not have
    ├── NormalisersDiffer · TeacherUnfit · TeacherTokensUnfit · TeacherHiddenUnfit · NotYetSupported
    └── InputMissing · InputNotText · InputNotRow · InputNotNumber · NoGap · WritingSettingUnfit · UnknownModelFolder      when predicting
    NotAvailable
    └── TrainingNotInstalled
    Diverged · Exploded                  the loss is no number any more; it has grown out of all proportion
    BadRow                               a row that the model cannot take
    CheckpointUnfit                      weights to start from that are another model's
    PrecisionHurts                       a precision that is slower here than the exact one
    RankFailed                           one of several processes that share the steps
"""

from kargah.kit.errors import BadInput, KargahError, NotAvailable


class NoTaskFits(BadInput):
    """No recipe recognises the columns: the user must name the recipe and the roles."""

    code = "NO_TASK_FITS"


class RoleMissing(BadInput):
    code = "ROLE_MISSING"


class LabelsUnlike(BadInput):
    """``column`` holds none of the labels that the model knows: ``known`` are some of those, ``found`` some of the column's."""

    code = "LABELS_UNLIKE"


class NothingToEvaluate(BadInput):
    """No row of ``title`` can be asked: ``taught`` of them taught the model, the others have no question or no answer."""

    code = "NOTHING_TO_EVALUATE"


class ColumnMissing(BadInput):
    code = "COLUMN_MISSING"


class ColumnsDiffer(BadInput):
    """The further data set ``title`` has nothing that would stand for the first's ``columns``."""

    code = "COLUMNS_DIFFER"


class TooFewRows(BadInput):
    code = "TOO_FEW_ROWS"


class OneClassOnly(BadInput):
    code = "ONE_CLASS_ONLY"


class NotNumeric(BadInput):
    code = "TARGET_NOT_NUMERIC"


class SplitUnclear(BadInput):
    """``value`` in ``row`` names neither training nor validation nor test."""

    code = "SPLIT_UNCLEAR"


class SplitLacks(BadInput):
    """No row of ``column`` is for ``part``."""

    code = "SPLIT_LACKS"


class LabelNotTaught(BadInput):
    """``labels`` stand in rows for validation or test only."""

    code = "LABEL_NOT_TAUGHT"


class MetricUnfit(BadInput):
    code = "METRIC_UNFIT"


class SettingUnfit(BadInput):
    """``setting`` as it was set can do nothing here: for this kind of ``problem``, or without what it needs."""

    code = "SETTING_UNFIT"


class NoTokenizer(BadInput):
    """A model that counts words and letters, or has no tokenizer's files: no tokens to show. ``reason``: its architecture."""

    code = "NO_TOKENIZER"


class UnsafeWeights(BadInput):
    """Weights that only a pickle holds: reading one can run any code, so none is read."""

    code = "MODEL_IS_PICKLE"


class WeightsDamaged(BadInput):
    code = "WEIGHTS_DAMAGED"


class BaseModelUnusable(BadInput):
    code = "BASE_MODEL_UNUSABLE"


class ChatTemplateUnfit(BadInput):
    """The template fails on these talks, or its text does not tell what the assistant said."""

    code = "CHAT_TEMPLATE_UNFIT"


class SequenceTooLong(BadInput):
    code = "SEQUENCE_TOO_LONG"


class AdapterNeedsBase(BadInput):
    code = "ADAPTER_NEEDS_BASE"


class QuantizationNeedsGpu(BadInput):
    code = "QUANTIZATION_NEEDS_GPU"


class TeacherUnfit(BadInput):
    """A model that cannot teach this. ``reason``: another recipe, kind of problem, labels or columns than the student's."""

    code = "TEACHER_UNFIT"


class TeacherTokensUnfit(BadInput):
    """A model that cannot teach a model of language. ``reason``: another recipe, no network, other tokens than the base model's."""

    code = "TEACHER_TOKENS_UNFIT"


class TeacherHiddenUnfit(BadInput):
    """A model whose hidden states cannot be compared with the student's. ``reason``: no transformer, other tokens than the base model's."""

    code = "TEACHER_HIDDEN_UNFIT"


class NormalisersDiffer(BadInput):
    code = "NORMALISERS_DIFFER"


class NotYetSupported(BadInput):
    code = "NOT_YET_SUPPORTED"


class InputMissing(BadInput):
    code = "INPUT_MISSING"


class InputNotText(BadInput):
    code = "INPUT_NOT_TEXT"


class InputNotRow(BadInput):
    code = "INPUT_NOT_ROW"


class InputNotNumber(BadInput):
    code = "INPUT_NOT_NUMBER"


class NoGap(BadInput):
    """A text to fill that has nothing to fill in."""

    code = "NO_GAP"


class WritingSettingUnfit(BadInput):
    """A setting of how a text is to be written, beyond ``low`` … ``high``."""

    code = "WRITING_SETTING_UNFIT"


class UnknownModelFolder(BadInput):
    code = "UNKNOWN_MODEL_FOLDER"


class TrainingNotInstalled(NotAvailable):
    code = "TRAINING_NOT_INSTALLED"


class Diverged(KargahError):
    code = "TRAINING_DIVERGED"


class Exploded(KargahError):
    code = "LOSS_EXPLODED"


class BadRow(BadInput):
    code = "BAD_ROW"


class RankFailed(KargahError):
    """One of the processes that share the steps of a training failed, and none of the others can say of what."""

    code = "RANK_FAILED"


class PrecisionHurts(BadInput):
    """A precision that was measured to be slower here than the exact one."""

    code = "PRECISION_HURTS"


class CheckpointUnfit(BadInput):
    code = "CHECKPOINT_UNFIT"


class AnswerUnplaced(BadInput):
    """The ``answer`` of ``row`` does not stand in its context, at ``start`` or anywhere."""

    code = "ANSWER_UNPLACED"


class TagsUnaligned(BadInput):
    """``row`` of the data set ``title`` has so many ``words`` and another number of ``tags``."""

    code = "TAGS_UNALIGNED"
