from raydient.v1 import columns_pb2 as _columns_pb2
from raydient.v1 import consistency_pb2 as _consistency_pb2
from raydient.v1 import ending_pb2 as _ending_pb2
from raydient.v1 import exchange_pb2 as _exchange_pb2
from raydient.v1 import functions_pb2 as _functions_pb2
from raydient.v1 import network_pb2 as _network_pb2
from raydient.v1 import optimizers_pb2 as _optimizers_pb2
from raydient.v1 import schedules_pb2 as _schedules_pb2
from raydient.v1 import scaling_pb2 as _scaling_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainingJobSpec(_message.Message):
    __slots__ = ("display_name", "labels", "dataset", "network", "training", "checkpoints", "resources", "monitoring", "exchange")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    MONITORING_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    display_name: str
    labels: _containers.ScalarMap[str, str]
    dataset: DatasetSpec
    network: _network_pb2.Network
    training: Training
    checkpoints: Checkpoints
    resources: Resources
    monitoring: Monitoring
    exchange: _exchange_pb2.Exchange
    def __init__(self, display_name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., dataset: _Optional[_Union[DatasetSpec, _Mapping]] = ..., network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., training: _Optional[_Union[Training, _Mapping]] = ..., checkpoints: _Optional[_Union[Checkpoints, _Mapping]] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., monitoring: _Optional[_Union[Monitoring, _Mapping]] = ..., exchange: _Optional[_Union[_exchange_pb2.Exchange, _Mapping]] = ...) -> None: ...

class DatasetSpec(_message.Message):
    __slots__ = ("uri", "label", "features", "split", "standardize", "inputs", "labels", "sample_weight", "label_columns", "impute", "columns", "validation", "csv", "standardize_label", "standardize_labels", "further_uris", "augment")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Input
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Input, _Mapping]] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ColumnsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _columns_pb2.ColumnSettings
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_columns_pb2.ColumnSettings, _Mapping]] = ...) -> None: ...
    class AugmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Augmentation
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Augmentation, _Mapping]] = ...) -> None: ...
    URI_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    STANDARDIZE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LABEL_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    IMPUTE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    STANDARDIZE_LABEL_FIELD_NUMBER: _ClassVar[int]
    STANDARDIZE_LABELS_FIELD_NUMBER: _ClassVar[int]
    FURTHER_URIS_FIELD_NUMBER: _ClassVar[int]
    AUGMENT_FIELD_NUMBER: _ClassVar[int]
    uri: str
    label: str
    features: _containers.RepeatedScalarFieldContainer[str]
    split: Split
    standardize: bool
    inputs: _containers.MessageMap[str, Input]
    labels: _containers.ScalarMap[str, str]
    sample_weight: str
    label_columns: _containers.RepeatedScalarFieldContainer[str]
    impute: _columns_pb2.Impute
    columns: _containers.MessageMap[str, _columns_pb2.ColumnSettings]
    validation: Validation
    csv: CsvFormat
    standardize_label: bool
    standardize_labels: _containers.RepeatedScalarFieldContainer[str]
    further_uris: _containers.RepeatedScalarFieldContainer[str]
    augment: _containers.MessageMap[str, Augmentation]
    def __init__(self, uri: _Optional[str] = ..., label: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ..., split: _Optional[_Union[Split, _Mapping]] = ..., standardize: bool = ..., inputs: _Optional[_Mapping[str, Input]] = ..., labels: _Optional[_Mapping[str, str]] = ..., sample_weight: _Optional[str] = ..., label_columns: _Optional[_Iterable[str]] = ..., impute: _Optional[_Union[_columns_pb2.Impute, _Mapping]] = ..., columns: _Optional[_Mapping[str, _columns_pb2.ColumnSettings]] = ..., validation: _Optional[_Union[Validation, _Mapping]] = ..., csv: _Optional[_Union[CsvFormat, _Mapping]] = ..., standardize_label: bool = ..., standardize_labels: _Optional[_Iterable[str]] = ..., further_uris: _Optional[_Iterable[str]] = ..., augment: _Optional[_Mapping[str, Augmentation]] = ...) -> None: ...

class Augmentation(_message.Message):
    __slots__ = ("horizontal_flip", "vertical_flip", "shift", "noise")
    HORIZONTAL_FLIP_FIELD_NUMBER: _ClassVar[int]
    VERTICAL_FLIP_FIELD_NUMBER: _ClassVar[int]
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    horizontal_flip: bool
    vertical_flip: bool
    shift: int
    noise: float
    def __init__(self, horizontal_flip: bool = ..., vertical_flip: bool = ..., shift: _Optional[int] = ..., noise: _Optional[float] = ...) -> None: ...

class CsvFormat(_message.Message):
    __slots__ = ("delimiter", "decimal", "encoding")
    DELIMITER_FIELD_NUMBER: _ClassVar[int]
    DECIMAL_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    delimiter: str
    decimal: str
    encoding: str
    def __init__(self, delimiter: _Optional[str] = ..., decimal: _Optional[str] = ..., encoding: _Optional[str] = ...) -> None: ...

class Validation(_message.Message):
    __slots__ = ("uri", "arrays", "further_uris")
    class ArraysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    URI_FIELD_NUMBER: _ClassVar[int]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    FURTHER_URIS_FIELD_NUMBER: _ClassVar[int]
    uri: str
    arrays: _containers.ScalarMap[str, str]
    further_uris: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, uri: _Optional[str] = ..., arrays: _Optional[_Mapping[str, str]] = ..., further_uris: _Optional[_Iterable[str]] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("columns", "categories", "buckets", "hashing", "text", "one_hot", "image")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    HASHING_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ONE_HOT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedScalarFieldContainer[str]
    categories: bool
    buckets: bool
    hashing: Hashing
    text: Text
    one_hot: bool
    image: Image
    def __init__(self, columns: _Optional[_Iterable[str]] = ..., categories: bool = ..., buckets: bool = ..., hashing: _Optional[_Union[Hashing, _Mapping]] = ..., text: _Optional[_Union[Text, _Mapping]] = ..., one_hot: bool = ..., image: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...

class Text(_message.Message):
    __slots__ = ("tokens", "length", "vocabulary_size", "vocabulary", "lowercase")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_SIZE_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    LOWERCASE_FIELD_NUMBER: _ClassVar[int]
    tokens: TokenKind
    length: int
    vocabulary_size: int
    vocabulary: _containers.RepeatedScalarFieldContainer[str]
    lowercase: bool
    def __init__(self, tokens: _Optional[_Union[TokenKind, _Mapping]] = ..., length: _Optional[int] = ..., vocabulary_size: _Optional[int] = ..., vocabulary: _Optional[_Iterable[str]] = ..., lowercase: bool = ...) -> None: ...

class TokenKind(_message.Message):
    __slots__ = ("character", "word", "byte_pair")
    CHARACTER_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    BYTE_PAIR_FIELD_NUMBER: _ClassVar[int]
    character: _functions_pb2.Empty
    word: _functions_pb2.Empty
    byte_pair: _functions_pb2.Empty
    def __init__(self, character: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., word: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., byte_pair: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class Hashing(_message.Message):
    __slots__ = ("buckets", "salt")
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    buckets: int
    salt: int
    def __init__(self, buckets: _Optional[int] = ..., salt: _Optional[int] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("height", "width", "channels")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    channels: int
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ...) -> None: ...

class Split(_message.Message):
    __slots__ = ("test", "method")
    TEST_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    test: float
    method: SplitMethod
    def __init__(self, test: _Optional[float] = ..., method: _Optional[_Union[SplitMethod, _Mapping]] = ...) -> None: ...

class SplitMethod(_message.Message):
    __slots__ = ("random", "stratified", "grouped", "ordered", "column", "folds")
    RANDOM_FIELD_NUMBER: _ClassVar[int]
    STRATIFIED_FIELD_NUMBER: _ClassVar[int]
    GROUPED_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    random: _functions_pb2.Empty
    stratified: Stratified
    grouped: Grouped
    ordered: Ordered
    column: PartColumn
    folds: Folds
    def __init__(self, random: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., stratified: _Optional[_Union[Stratified, _Mapping]] = ..., grouped: _Optional[_Union[Grouped, _Mapping]] = ..., ordered: _Optional[_Union[Ordered, _Mapping]] = ..., column: _Optional[_Union[PartColumn, _Mapping]] = ..., folds: _Optional[_Union[Folds, _Mapping]] = ...) -> None: ...

class Folds(_message.Message):
    __slots__ = ("number", "fold", "stratified", "grouped")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FOLD_FIELD_NUMBER: _ClassVar[int]
    STRATIFIED_FIELD_NUMBER: _ClassVar[int]
    GROUPED_FIELD_NUMBER: _ClassVar[int]
    number: int
    fold: int
    stratified: Stratified
    grouped: Grouped
    def __init__(self, number: _Optional[int] = ..., fold: _Optional[int] = ..., stratified: _Optional[_Union[Stratified, _Mapping]] = ..., grouped: _Optional[_Union[Grouped, _Mapping]] = ...) -> None: ...

class Stratified(_message.Message):
    __slots__ = ("by",)
    BY_FIELD_NUMBER: _ClassVar[int]
    by: str
    def __init__(self, by: _Optional[str] = ...) -> None: ...

class Grouped(_message.Message):
    __slots__ = ("by",)
    BY_FIELD_NUMBER: _ClassVar[int]
    by: str
    def __init__(self, by: _Optional[str] = ...) -> None: ...

class Ordered(_message.Message):
    __slots__ = ("by",)
    BY_FIELD_NUMBER: _ClassVar[int]
    by: str
    def __init__(self, by: _Optional[str] = ...) -> None: ...

class PartColumn(_message.Message):
    __slots__ = ("name", "train", "test")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRAIN_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    train: _containers.RepeatedScalarFieldContainer[str]
    test: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., train: _Optional[_Iterable[str]] = ..., test: _Optional[_Iterable[str]] = ...) -> None: ...

class InitialWeights(_message.Message):
    __slots__ = ("include", "exclude", "rename")
    class RenameEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FROM_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_FIELD_NUMBER: _ClassVar[int]
    RENAME_FIELD_NUMBER: _ClassVar[int]
    include: _containers.RepeatedScalarFieldContainer[str]
    exclude: _containers.RepeatedScalarFieldContainer[str]
    rename: _containers.ScalarMap[str, str]
    def __init__(self, include: _Optional[_Iterable[str]] = ..., exclude: _Optional[_Iterable[str]] = ..., rename: _Optional[_Mapping[str, str]] = ..., **kwargs) -> None: ...

class Training(_message.Message):
    __slots__ = ("epochs", "batch_size", "microbatches", "seed", "optimizer", "sparse", "initial_weights", "numerics", "schedule", "warm_up", "clipping", "early_stopping", "keep", "weight_decay", "accumulate", "max_steps", "max_minutes", "on_non_finite", "average", "consistency")
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    MICROBATCHES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    SPARSE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    NUMERICS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_FIELD_NUMBER: _ClassVar[int]
    CLIPPING_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    ACCUMULATE_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_MINUTES_FIELD_NUMBER: _ClassVar[int]
    ON_NON_FINITE_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    epochs: int
    batch_size: int
    microbatches: int
    seed: int
    optimizer: _optimizers_pb2.Optimizer
    sparse: _optimizers_pb2.Sparse
    initial_weights: InitialWeights
    numerics: Numerics
    schedule: _schedules_pb2.LearningRateSchedule
    warm_up: _schedules_pb2.WarmUp
    clipping: _scaling_pb2.Clipping
    early_stopping: _ending_pb2.EarlyStopping
    keep: _ending_pb2.Keep
    weight_decay: _scaling_pb2.WeightDecay
    accumulate: int
    max_steps: int
    max_minutes: float
    on_non_finite: _ending_pb2.OnNonFinite
    average: _scaling_pb2.WeightAverage
    consistency: _consistency_pb2.Consistency
    def __init__(self, epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., microbatches: _Optional[int] = ..., seed: _Optional[int] = ..., optimizer: _Optional[_Union[_optimizers_pb2.Optimizer, _Mapping]] = ..., sparse: _Optional[_Union[_optimizers_pb2.Sparse, _Mapping]] = ..., initial_weights: _Optional[_Union[InitialWeights, _Mapping]] = ..., numerics: _Optional[_Union[Numerics, _Mapping]] = ..., schedule: _Optional[_Union[_schedules_pb2.LearningRateSchedule, _Mapping]] = ..., warm_up: _Optional[_Union[_schedules_pb2.WarmUp, _Mapping]] = ..., clipping: _Optional[_Union[_scaling_pb2.Clipping, _Mapping]] = ..., early_stopping: _Optional[_Union[_ending_pb2.EarlyStopping, _Mapping]] = ..., keep: _Optional[_Union[_ending_pb2.Keep, _Mapping]] = ..., weight_decay: _Optional[_Union[_scaling_pb2.WeightDecay, _Mapping]] = ..., accumulate: _Optional[int] = ..., max_steps: _Optional[int] = ..., max_minutes: _Optional[float] = ..., on_non_finite: _Optional[_Union[_ending_pb2.OnNonFinite, _Mapping]] = ..., average: _Optional[_Union[_scaling_pb2.WeightAverage, _Mapping]] = ..., consistency: _Optional[_Union[_consistency_pb2.Consistency, _Mapping]] = ...) -> None: ...

class Numerics(_message.Message):
    __slots__ = ("strict", "any", "portable")
    STRICT_FIELD_NUMBER: _ClassVar[int]
    ANY_FIELD_NUMBER: _ClassVar[int]
    PORTABLE_FIELD_NUMBER: _ClassVar[int]
    strict: _functions_pb2.Empty
    any: _functions_pb2.Empty
    portable: _functions_pb2.Empty
    def __init__(self, strict: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., any: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., portable: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class Checkpoints(_message.Message):
    __slots__ = ("interval_seconds", "keep")
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    interval_seconds: float
    keep: int
    def __init__(self, interval_seconds: _Optional[float] = ..., keep: _Optional[int] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("workers", "placement", "parameter_servers")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_SERVERS_FIELD_NUMBER: _ClassVar[int]
    workers: WorkerRange
    placement: Placement
    parameter_servers: int
    def __init__(self, workers: _Optional[_Union[WorkerRange, _Mapping]] = ..., placement: _Optional[_Union[Placement, _Mapping]] = ..., parameter_servers: _Optional[int] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("strategy", "parameter_server")
    class ParameterServerEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_SERVER_FIELD_NUMBER: _ClassVar[int]
    strategy: Strategy
    parameter_server: _containers.ScalarMap[str, str]
    def __init__(self, strategy: _Optional[_Union[Strategy, _Mapping]] = ..., parameter_server: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Strategy(_message.Message):
    __slots__ = ("pack", "spread")
    PACK_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    pack: _functions_pb2.Empty
    spread: _functions_pb2.Empty
    def __init__(self, pack: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ..., spread: _Optional[_Union[_functions_pb2.Empty, _Mapping]] = ...) -> None: ...

class Monitoring(_message.Message):
    __slots__ = ("gradient_health_every",)
    GRADIENT_HEALTH_EVERY_FIELD_NUMBER: _ClassVar[int]
    gradient_health_every: int
    def __init__(self, gradient_health_every: _Optional[int] = ...) -> None: ...

class WorkerRange(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ...) -> None: ...
