"""Builds the conductor of a job from the message that starts its parameter server."""

from collections.abc import Mapping
from functools import partial

from raydient.spec.training import Training
from raydient.steps.arrays import AnyArray
from raydient.wire import control

from .amending import Amending, Settings
from .conductor import Conductor
from .consistency import Policies
from .health import LayerSums
from .snapshots import restore_position


def build_conductor(
    serve: control.Serve, arrays: Mapping[str, AnyArray], policies: Policies
) -> tuple[Conductor, Settings]:
    """Return the conductor at the position of a snapshot, and the settings in force there.

    `arrays` are those of the message; `policies`: see `Conductor`. ProtocolError if the position is none of the job.
    """
    build = partial(Settings.of, network=serve.network, input_shapes=serve.input_shapes)
    settings = build(Training.model_validate(serve.training), serve.schedule, serve.watched)
    conductor = Conductor(
        serve.schedule,
        restore_position(serve, arrays),
        settings.rule,
        LayerSums(serve.layout, serve.layers),
        ranks=serve.ranks,
        shards=len(serve.ranges),
        watch=settings.watch,
        limit_seconds=settings.limit_seconds,
        amending=Amending(settings, build, serve.waiting),
        consistency=settings.training.consistency,
        policies=policies,
    )
    return conductor, settings
