"""The public API: its services and methods are pinned, and the generated code is that of the .proto files beside it."""

import re
from importlib.resources import files

import pytest
from google.protobuf.descriptor import Descriptor, FileDescriptor

from raydient.v1 import (
    attention_pb2,
    columns_pb2,
    consistency_pb2,
    convolution_pb2,
    dataset_service_pb2,
    ending_pb2,
    exchange_pb2,
    functions_pb2,
    layers_pb2,
    losses_pb2,
    metrics_pb2,
    model_service_pb2,
    network_pb2,
    normalization_pb2,
    optimizers_pb2,
    pooling_pb2,
    recurrent_pb2,
    regularization_pb2,
    scaling_pb2,
    schedules_pb2,
    training_job_pb2,
    training_job_spec_pb2,
    training_service_pb2,
    windows_pb2,
)

FILES: list[FileDescriptor] = [
    module.DESCRIPTOR
    for module in (
        attention_pb2,
        columns_pb2,
        consistency_pb2,
        convolution_pb2,
        dataset_service_pb2,
        ending_pb2,
        exchange_pb2,
        functions_pb2,
        layers_pb2,
        losses_pb2,
        metrics_pb2,
        model_service_pb2,
        network_pb2,
        optimizers_pb2,
        pooling_pb2,
        pooling_pb2,
        normalization_pb2,
        regularization_pb2,
        scaling_pb2,
        recurrent_pb2,
        schedules_pb2,
        training_job_pb2,
        training_job_spec_pb2,
        training_service_pb2,
        windows_pb2,
    )
]


def source(file: FileDescriptor) -> str:
    return (files("raydient.v1") / file.name.rpartition("/")[2]).read_text(encoding="utf-8")


def messages(file: FileDescriptor) -> list[Descriptor]:
    return list(file.message_types_by_name.values())


def test_services_and_methods() -> None:
    methods = {
        service.name: {
            method.name: ("stream " if method.client_streaming or method.server_streaming else "")
            + method.output_type.name
            for method in service.methods
        }
        for file in FILES
        for service in file.services_by_name.values()
    }
    assert methods == {
        "TrainingService": {
            "CreateTrainingJob": "TrainingJob",
            "GetTrainingJob": "TrainingJob",
            "ListTrainingJobs": "ListTrainingJobsResponse",
            "DeleteTrainingJob": "Empty",
            "CancelTrainingJob": "TrainingJob",
            "PauseTrainingJob": "TrainingJob",
            "ResumeTrainingJob": "TrainingJob",
            "ScaleTrainingJob": "TrainingJob",
            "UpdateTrainingJob": "TrainingJob",
            "WatchTrainingJob": "stream WatchTrainingJobResponse",
            "ListMetrics": "ListMetricsResponse",
            "ReplayTrainingJob": "stream ReplayTrainingJobResponse",
        },
        "DatasetService": {
            "UploadDataset": "stream Dataset",
            "GetDatasetUpload": "DatasetUpload",
            "RegisterDataset": "Dataset",
            "GetDataset": "Dataset",
            "ListDatasets": "ListDatasetsResponse",
            "DeleteDataset": "Empty",
        },
        "ModelService": {
            "ListCheckpoints": "ListCheckpointsResponse",
            "DownloadModel": "stream DownloadModelResponse",
            "GetModel": "Model",
            "Predict": "PredictResponse",
        },
    }


def test_every_proto_file_is_looked_at() -> None:
    packaged = {file.name for file in files("raydient.v1").iterdir() if file.name.endswith(".proto")}
    assert packaged == {file.name.rpartition("/")[2] for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_generated_code_is_that_of_the_source(file: FileDescriptor) -> None:
    text = source(file)
    assert re.findall(r"^message (\w+)", text, re.M) == [message.name for message in messages(file)]
    assert re.findall(r"^  rpc (\w+)", text, re.M) == [
        method.name for service in file.services_by_name.values() for method in service.methods
    ]
    fields = [(field.name, str(field.number)) for message in messages(file) for field in message.fields]
    values = [(v.name, str(v.number)) for enum in file.enum_types_by_name.values() for v in enum.values]
    assert sorted(re.findall(r"(\w+) = (\d+);", text)) == sorted(fields + values)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_lists_are_paged(file: FileDescriptor) -> None:
    requests = [message for message in messages(file) if re.fullmatch(r"List\w+Request", message.name)]
    assert len(requests) == sum(m.name.startswith("List") for s in file.services_by_name.values() for m in s.methods)
    for request in requests:
        assert {"page_size", "page_token"} <= set(request.fields_by_name)
        response = file.message_types_by_name[request.name.replace("Request", "Response")]
        assert "next_page_token" in response.fields_by_name


def test_a_create_may_be_repeated_and_only_validated() -> None:
    request = training_service_pb2.CreateTrainingJobRequest.DESCRIPTOR
    assert {"request_id", "validate_only"} <= set(request.fields_by_name)
