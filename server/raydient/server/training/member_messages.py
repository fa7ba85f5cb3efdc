"""Messages to the members of a run, built from the prepared job and the coordinator's actions."""

from collections.abc import Sequence

import numpy as np

from raydient.steps.amendments import Amendment
from raydient.steps.manifest import Manifest
from raydient.steps.scores import EPOCH_SCORES
from raydient.wire import control
from raydient.wire.endpoint import Endpoint
from raydient.wire.memory import Bundle

from .actions import Ask, Dismiss, Leave, SetPlan, Work
from .preparation import Prepared
from .storage import StartingPoint


def serve_message(
    prepared: Prepared,
    point: StartingPoint,
    generation: int,
    *,
    shard: int,
    conductor: Endpoint | None,
    waiting: Sequence[Amendment] = (),
) -> tuple[control.Serve, Bundle]:
    """Build the message that starts the parameter server of a shard at `point`, and the arrays that it brings.

    `prepared` is the job with the amendments of `point`, and `waiting` has those that are not in force there.
    `conductor` is the endpoint of the parameter server in place 0, None for that one itself.
    """
    network = prepared.network
    held = prepared.division[shard]
    arrays = {name: point.arrays[name][slice(*where)] for name, where in held.items() if name in point.arrays}
    if shard == 0 and EPOCH_SCORES in point.arrays:
        arrays[EPOCH_SCORES] = point.arrays[EPOCH_SCORES]
    serve = control.Serve(
        generation=generation,
        layout=network.layout,
        layers=[(layer.name, layer.rectified_units) for layer in network.layers],
        training=prepared.spec.training.canonical(),
        schedule=prepared.schedule,
        sums=network.sums,
        round=point.round,
        step=point.step,
        epoch_sums=point.epoch_sums,
        watched=point.watched,
        seconds=point.seconds,
        ranks=network.ranks,
        ranges=prepared.ranges,
        network=prepared.spec.network.canonical(),
        input_shapes=network.input_shapes,
        shard=shard,
        conductor=conductor,
        amendments=point.amendments,
        waiting=waiting,
        codec=prepared.spec.exchange.codec.name,
        outstanding=point.outstanding,
    )
    return serve, Bundle.of(arrays)


def residuals_message(
    prepared: Prepared, point: StartingPoint
) -> tuple[tuple[control.Residuals, Bundle] | None, control.Arrays]:
    """Build the message with the residuals of a job at `point`, and return them; no message if there are none or all 0.

    The residuals share the memory of the message.
    """
    kept = {name: point.arrays[name] for name in prepared.residuals if name in point.arrays}
    if not kept:
        zeros = np.zeros(prepared.network.layout.size, np.float32)
        return None, dict.fromkeys(prepared.residuals, zeros)
    bundle = Bundle.of(kept)
    return (control.Residuals(point.round), bundle), bundle.arrays


def work_message(
    prepared: Prepared, data_planes: Sequence[Endpoint], action: Work, manifest: Manifest | None
) -> control.Work:
    """Build the message that starts a worker for the parameter servers at `data_planes`.

    The data travels beside it, or the worker fetches those of `manifest`.
    """
    return control.Work(
        generation=action.generation,
        specification=prepared.spec.canonical(),
        input_shapes=prepared.network.input_shapes,
        schedule=prepared.schedule,
        data_planes=data_planes,
        place=action.place,
        workers=action.workers,
        label_units={one.name: one.scaling.scale.tolist() for one in prepared.network.outputs if one.scaling},
        in_files=prepared.dataset.folder is not None,
        manifest=manifest,
    )


def order_message(action: SetPlan | Ask | Dismiss | Leave) -> control.Message:
    """Build the message to the conductor for an action, or to the server that has to leave its part."""
    match action:
        case SetPlan(plan=plan):
            return plan
        case Ask(request=request):
            return request
        case Leave():
            return control.Leave()
        case Dismiss(member=member):
            return control.Dismiss(member)
