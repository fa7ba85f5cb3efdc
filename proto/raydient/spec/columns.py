"""The preparation of the columns of a table: what stands in place of missing values."""

from .base import Model, OneOf
from .functions import Constant, Empty


class Impute(OneOf):
    """The number in place of a missing value.

    mean, median, most_frequent: of the values that the training part has; of several most frequent values the smallest.
    """

    mean: Empty | None = None
    median: Empty | None = None
    most_frequent: Empty | None = None
    constant: Constant | None = None


class ColumnSettings(Model):
    """The preparation of one column of numbers.

    An indicator is one more feature, after all columns of the input: 1 where the value is missing, else 0.
    """

    impute: Impute | None = None
    indicator: bool = False
