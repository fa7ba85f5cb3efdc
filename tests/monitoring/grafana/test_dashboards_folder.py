"""Programs that are given a folder of dashboards say in a line that it is missing, with exit status 2."""

import pytest

from deploy.grafana.folder import DASHBOARDS
from deploy.grafana.lint.__main__ import main as lint
from deploy.grafana.program.__main__ import main as program


@pytest.mark.parametrize("main", [program, lint])
def test_a_folder_that_is_missing(main, tmp_path, capsys):
    folder = tmp_path / "dashboards"

    assert main([str(folder)]) == 2

    captured = capsys.readouterr()
    assert captured.err == f"error: dashboards folder {folder} is missing\n"
    assert captured.out == ""
    assert not folder.exists()


def test_a_folder_without_dashboards(tmp_path, capsys):
    assert lint([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: dashboards folder {tmp_path} has no dashboard in it\n"


def test_a_folder_with_dashboards(tmp_path, capsys):
    assert program([str(tmp_path)]) == 0
    assert lint([str(tmp_path)]) == 1  # the exceptions lie beside the committed ones

    found = capsys.readouterr().out.splitlines()
    assert found
    assert all(line.startswith("raydient / Service: ") and "-rule)" in line for line in found)
    assert lint([str(DASHBOARDS)]) == 0
