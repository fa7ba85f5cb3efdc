"""Messages between the service, the coordinators of runs and their members.

A message is a frozen dataclass; its fields are its JSON form. Messages keep their order on a connection. One that was
sent is lost only if the connection ends.
"""

from .encoding import Arrays, Message, Received, decode, receive, send
from .members import (
    Alive,
    Attached,
    Dismiss,
    EpochsDone,
    EpochSums,
    Hello,
    MemberMessage,
    NonFinite,
    Overdue,
    Part,
    Pause,
    Ping,
    Plan,
    PlanInForce,
    Pong,
    Role,
    Serve,
    Snapshot,
    Status,
    TakeSnapshot,
    Work,
)
from .reporting import Acknowledge, Command, Follow, Numbered, Order, ReportingMessage, Reports, Scale

__all__ = [
    "Acknowledge",
    "Alive",
    "Arrays",
    "Attached",
    "Command",
    "Dismiss",
    "EpochSums",
    "EpochsDone",
    "Follow",
    "Hello",
    "MemberMessage",
    "Message",
    "NonFinite",
    "Numbered",
    "Order",
    "Overdue",
    "Part",
    "Pause",
    "Ping",
    "Plan",
    "PlanInForce",
    "Pong",
    "Received",
    "ReportingMessage",
    "Reports",
    "Role",
    "Scale",
    "Serve",
    "Snapshot",
    "Status",
    "TakeSnapshot",
    "Work",
    "decode",
    "receive",
    "send",
]
