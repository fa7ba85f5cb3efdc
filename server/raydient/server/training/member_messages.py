"""Messages to the members of a run, built from the prepared job and the coordinator's actions."""

from raydient.wire import control
from raydient.wire.endpoint import Endpoint

from .actions import AskSnapshot, Dismiss, Pause, SetPlan, Work
from .preparation import Prepared
from .storage import StartingPoint


def serve_message(prepared: Prepared, point: StartingPoint) -> control.Serve:
    """Build the message that starts a parameter server at `point`; the arrays travel beside it."""
    network, optimizer = prepared.network, prepared.spec.training.optimizer
    return control.Serve(
        layout=network.layout,
        layers=[(layer.name, layer.rectified_units) for layer in network.layers],
        optimizer=optimizer.kind,
        settings=optimizer.value.model_dump(),
        schedule=prepared.schedule,
        sums=network.sums,
        round=point.round,
        step=point.step,
        epoch_sums=point.epoch_sums,
        ranks=network.ranks,
        ranges=[(0, network.layout.size)],
    )


def work_message(prepared: Prepared, data_plane: Endpoint, action: Work) -> control.Work:
    """Build the message that starts a worker for the parameter server at `data_plane`; the data travels beside it."""
    return control.Work(
        specification=prepared.spec.canonical(),
        input_shapes=prepared.network.input_shapes,
        schedule=prepared.schedule,
        data_planes=[data_plane],
        place=action.place,
        workers=action.workers,
    )


def order_message(action: SetPlan | AskSnapshot | Pause | Dismiss) -> control.Message:
    """Build the message to the parameter server for an action."""
    match action:
        case SetPlan(plan=plan):
            return plan
        case AskSnapshot():
            return control.TakeSnapshot()
        case Pause(at_once=at_once):
            return control.Pause(at_once)
        case Dismiss(member=member):
            return control.Dismiss(member)
