"""The network: layers, losses, initializers, the compiled program, the gradient check and the model file.

Begin with `layers.dense`, the chain rule of one layer in six lines, and with `activations` and `losses`, whose
derivatives it multiplies. `program.Program` applies the chain rule to a graph of layers, and `gradient_check` compares
the result with difference quotients.
"""

from .bounding import Bounding, Logarithm
from .build import build, check_structure
from .calendar import Dates
from .ends import is_input, only
from .evaluation import evaluate
from .export import ExportFormat, export_model
from .gradient_check import GradientReport, ParameterCheck, Verdict, check_gradients, random_batch, random_batches
from .graph import Network, Output
from .hashing import Hashing
from .imputation import Imputation
from .indices import Extent, TableUse, index_limits, index_problems, table_uses
from .initial_weights import (
    WeightsError,
    chosen_parameters,
    ends_of,
    preprocessing_problems,
    read_preprocessing,
    read_weights,
    weights_to_take,
)
from .layers import Pass, Shape, shape_text
from .memory import program_bytes
from .model import Model, ModelError, ModelTooLargeError, load_model, save_model
from .preprocessing import (
    Kind,
    Preprocessing,
    SampleError,
    Target,
    category_places,
    category_texts,
    label_scalings,
)
from .program import Program
from .rescaling import Rescaling
from .signature import Signature
from .standardization import Scaling
from .summary import LayerRow, describe
from .tokens import Tokens
from .transform import FitError, Settings, Transform

__all__ = [
    "Bounding",
    "Dates",
    "ExportFormat",
    "Extent",
    "FitError",
    "GradientReport",
    "Hashing",
    "Imputation",
    "Kind",
    "LayerRow",
    "Logarithm",
    "Model",
    "ModelError",
    "ModelTooLargeError",
    "Network",
    "Output",
    "ParameterCheck",
    "Pass",
    "Preprocessing",
    "Program",
    "Rescaling",
    "SampleError",
    "Scaling",
    "Settings",
    "Shape",
    "Signature",
    "TableUse",
    "Target",
    "Tokens",
    "Transform",
    "Verdict",
    "WeightsError",
    "build",
    "category_places",
    "category_texts",
    "check_gradients",
    "check_structure",
    "chosen_parameters",
    "describe",
    "ends_of",
    "evaluate",
    "export_model",
    "index_limits",
    "index_problems",
    "is_input",
    "label_scalings",
    "load_model",
    "only",
    "preprocessing_problems",
    "program_bytes",
    "random_batch",
    "random_batches",
    "read_preprocessing",
    "read_weights",
    "save_model",
    "shape_text",
    "table_uses",
    "weights_to_take",
]
