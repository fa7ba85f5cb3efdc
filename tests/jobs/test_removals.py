from raydient.server.jobs.removals import Removals, decide_removal


def decide(database, name):
    database.write(lambda connection: decide_removal(connection, name))


def pending(database):
    return database.read(lambda connection: connection.exec_driver_sql("SELECT name FROM removals").scalars().all())


def test_only_decided_removals_are_carried_out(database, tmp_path):
    removals = Removals(database, tmp_path)
    for name in ("jobs/a", "jobs/b"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "model.safetensors").touch()
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "c.csv").touch()
    for name in ("jobs/a", "jobs/a", "datasets/c.csv", "jobs/gone"):
        decide(database, name)
    removals.complete()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")) == ["jobs/b"]
    assert pending(database) == []


def test_a_planned_removal_spares_a_folder_in_use(database, tmp_path):
    """As in a database that was restored from a backup."""
    removals = Removals(database, tmp_path)
    for job in ("used", "unused"):
        (tmp_path / "jobs" / job).mkdir(parents=True)
        (tmp_path / "jobs" / job / "job.json").touch()
        removals.plan(f"jobs/{job}")
    (tmp_path / "jobs" / "used" / "checkpoints").mkdir()
    removals.complete()
    assert [folder.name for folder in (tmp_path / "jobs").iterdir()] == ["used"]
    assert pending(database) == []


def test_a_name_outside_the_folders_is_left_alone(database, tmp_path, caplog):
    root = tmp_path / "state"
    (root / "jobs" / "a").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    removals = Removals(database, root)
    for name in ("jobs/..", "../other", "jobs", "jobs/a/b", "logs/a", "/etc/hosts", ""):
        decide(database, name)
    removals.complete()
    assert (root / "jobs" / "a").is_dir()
    assert (tmp_path / "other").is_dir()
    assert len([record for record in caplog.records if "left alone" in record.message]) == 7


def test_a_failed_removal_is_retried(database, tmp_path, monkeypatch, caplog):
    (tmp_path / "jobs" / "a").mkdir(parents=True)
    removals = Removals(database, tmp_path)
    decide(database, "jobs/a")

    def busy(path):
        raise OSError(16, "Device or resource busy")

    with monkeypatch.context() as patch:
        patch.setattr("raydient.server.jobs.removals.shutil.rmtree", busy)
        removals.carry_out("jobs/a")
    assert "Device or resource busy" in caplog.text
    assert pending(database) == ["jobs/a"]
    removals.complete()
    assert not (tmp_path / "jobs" / "a").exists()


def test_a_closed_database_keeps_the_decision(database, tmp_path):
    (tmp_path / "jobs" / "a").mkdir(parents=True)
    removals = Removals(database, tmp_path)
    decide(database, "jobs/a")
    database.close()
    removals.carry_out("jobs/a")
    assert not (tmp_path / "jobs" / "a").exists()
