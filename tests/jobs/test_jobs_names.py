from raydient.server import api, jobs


def test_the_public_names_of_the_room():
    assert sorted(jobs.__all__) == [
        "Artifacts",
        "Change",
        "Dataset",
        "Dispatcher",
        "Feed",
        "Header",
        "IllegalTransition",
        "Job",
        "JobEvent",
        "JobFilter",
        "JobManager",
        "JobStore",
        "JobSummary",
        "MetricPoint",
        "Prediction",
        "Predictor",
        "Removals",
        "Reserve",
        "STORED",
        "State",
        "StateChanged",
        "StateDirectory",
        "StoredCheckpoint",
        "StoredModels",
        "Stores",
        "Subscription",
        "UnreadableJob",
        "Window",
        "oldest_event",
    ]
    assert api.__all__ == ["Address", "ApiServer", "Security"]
