"""The processes of a job that this process trains."""

from pathlib import Path


def members(role: str) -> list[int]:
    """Return the process ids of the members with a role, `worker` or `parameter_server`, below this process."""
    below, waiting = [], ["self"]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
            waiting += (task / "children").read_text().split()
        below += waiting
    titles = {int(process): Path(f"/proc/{process}/cmdline").read_bytes() for process in below}
    return [process for process, title in titles.items() if title.startswith(f"raydient: {role} ".encode())]
