from raydient.server import api, jobs


def test_the_public_names_of_the_room():
    assert sorted(jobs.__all__) == [
        "Artifacts",
        "Change",
        "Dataset",
        "DatasetStore",
        "Dispatcher",
        "Feed",
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
        "Sources",
        "State",
        "StateChanged",
        "StateDirectory",
        "StoredCheckpoint",
        "StoredModels",
        "Subscription",
        "UnreadableJob",
        "Window",
        "check_header",
        "oldest_event",
        "open_database",
    ]
    assert api.__all__ == ["Address", "ApiServer", "Security"]
