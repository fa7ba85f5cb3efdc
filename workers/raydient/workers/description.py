"""The description of a model's inputs and outputs as a message, for clients of the service and without one."""

from raydient.v1 import model_service_pb2

from .network import Model


def model_message(name: str, model: Model) -> model_service_pb2.Model:
    """The description of a network's inputs and outputs; `name` is the resource name of its weights."""
    return model_service_pb2.Model(
        name=name,
        digest=model.digest,
        inputs=[
            model_service_pb2.ModelInput(
                name=key,
                shape=preprocessing.shape,
                columns=preprocessing.columns,
                is_table=preprocessing.is_table,
                has_categories=preprocessing.has_categories,
                optional_columns=preprocessing.optional_columns,
                date_columns=preprocessing.date_columns,
                is_image=preprocessing.is_image,
            )
            for key, preprocessing in model.inputs.items()
        ],
        outputs=[
            model_service_pb2.ModelOutput(name=o.name, label=model.targets[o.name].label, shape=o.shape)
            for o in model.network.outputs
        ],
    )
