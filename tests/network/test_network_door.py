"""The public names of the network room, and packages that importing it must not import."""

import subprocess
import sys

from raydient.workers import network


def test_public_names():
    assert sorted(network.__all__) == [
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
    assert all(hasattr(network, name) for name in network.__all__)


def test_imports_neither_cluster_nor_service():
    ours = ("raydient.server", "raydient.v1")
    foreign = ("ray", "grpc", "google.protobuf", "prometheus_client", "pyarrow", "onnx", *ours)
    code = f"import raydient.workers.network, sys; sys.exit(', '.join(m for m in {foreign} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
