import hashlib
import json
import stat

import pytest

from raydient.server.jobs.description import (
    DESCRIPTION_FILE,
    Description,
    UnreadableDescription,
    read_description,
    write_description,
    write_descriptions,
)


@pytest.fixture
def described(tmp_path, make_job):
    """A job's folder with its description."""
    job = make_job(request="r", labels={"team": "a"}, training={"seed": 7})
    description = Description(job, {"datasets/none": "digits.csv"})
    write_description(tmp_path / job.id, description)
    return tmp_path / job.id, description


def test_a_description_is_read_as_written(described):
    folder, description = described
    assert read_description(folder) == description
    assert [path.name for path in folder.iterdir()] == [DESCRIPTION_FILE]
    assert stat.S_IMODE((folder / DESCRIPTION_FILE).stat().st_mode) == 0o600


def test_earlier_versions_wrote_the_name_of_one_file(described):
    folder, description = described
    rewrite(folder, file_name="digits.csv", file_names=None)
    assert read_description(folder) == description
    rewrite(folder, file_name="")
    assert read_description(folder).file_names == {}


def test_many_descriptions_are_written_at_once(tmp_path, make_job):
    jobs = [make_job() for _ in range(3)]
    for job in jobs:
        (tmp_path / job.id).mkdir()
    assert write_descriptions((tmp_path / job.id, Description(job)) for job in jobs) == 3
    assert [read_description(tmp_path / job.id).job for job in jobs] == jobs


def test_every_changed_byte_is_detected(described):
    folder, description = described
    path = folder / DESCRIPTION_FILE
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert read_description(folder) == description  # white space, or case where it does not count
        except UnreadableDescription as error:
            assert "\n" not in str(error)  # noqa: PT017


def rewrite(folder, **changed):
    """Change fields of a job in its description, and the checksum with them."""
    path = folder / DESCRIPTION_FILE
    data = json.loads(path.read_bytes())
    data["job"].update(changed)
    text = json.dumps(data["job"], sort_keys=True, separators=(",", ":"))
    data["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(data))


def test_each_cause_of_an_unreadable_description_has_its_message(described, tmp_path):
    folder, _ = described
    with pytest.raises(UnreadableDescription, match=r"it has no job\.json"):
        read_description(tmp_path)
    rewrite(folder, id="other")
    with pytest.raises(UnreadableDescription, match="is that of jobs/other"):
        read_description(folder)
    rewrite(folder, id=folder.name, specification={"network": {"layers": [{"quantum": {}}]}})
    with pytest.raises(UnreadableDescription, match="this version does not accept its specification"):
        read_description(folder)
    (folder / DESCRIPTION_FILE).write_text('{"format": "raydient-job/9"}')
    with pytest.raises(UnreadableDescription, match="has the format 'raydient-job/9'"):
        read_description(folder)
    (folder / DESCRIPTION_FILE).write_text('{"format"')
    with pytest.raises(UnreadableDescription, match="is damaged"):
        read_description(folder)
