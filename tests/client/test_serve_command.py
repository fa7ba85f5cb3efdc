"""`raydient serve`: its options and the errors at its start."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raydient.client.cli import program
from raydient.server import app


def run(*arguments: object) -> Result:
    return CliRunner(env={"NO_COLOR": "1"}).invoke(program, [str(a) for a in arguments])


def test_serve_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    served = []
    monkeypatch.setattr(app, "serve", lambda settings: served.append(settings) or 0)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run("serve").exit_code == 0
    assert served == [app.Settings(state_directory=tmp_path / "raydient" / "server")]
    (tmp_path / "file").write_text("")
    options = ["--address", "0.0.0.0:1", "--metrics-address", "h:2", "--state", tmp_path / "s", "--cluster", "ray"]
    options += ["--ray-address", "auto", "--slots", 3, "--data-root", tmp_path, "--data-root", "/", "--insecure-grpc"]
    options += ["--data-url", "s3://bucket/data", "--data-url", "https://h"]
    for name in ("--tls-certificate", "--tls-key", "--tokens-file"):
        options += [name, tmp_path / "file"]
    assert run("serve", *options).exit_code == 0
    assert served[1] == app.Settings(
        address="0.0.0.0:1",
        metrics_address="h:2",
        state_directory=tmp_path / "s",
        cluster="ray",
        ray_address="auto",
        slots=3,
        data_roots=(tmp_path, Path("/")),
        data_urls=("s3://bucket/data", "https://h"),
        insecure_grpc=True,
        insecure_metrics=False,
        tls_certificate=tmp_path / "file",
        tls_key=tmp_path / "file",
        tokens_file=tmp_path / "file",
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/data", "a URL is needed, such as s3://bucket/data"),
        ("https://h/a?b", "a URL is needed"),
        ("file:///data", "write its path alone"),
        ("https://u:hunter2@h", "user name or a password"),
    ],
)
def test_urls_below_which_jobs_may_read(monkeypatch: pytest.MonkeyPatch, url: str, problem: str) -> None:
    monkeypatch.setattr(app, "serve", lambda settings: 0)
    done = run("serve", "--data-url", url)
    assert (done.exit_code, problem in done.stderr, "hunter2" in done.stderr) == (2, True, False)


def test_a_ray_to_join_needs_the_cluster_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "serve", lambda settings: 0)
    done = run("serve", "--ray-address", "auto")
    assert done.exit_code == 2
    assert "--ray-address needs --cluster ray" in done.stderr


def test_a_service_that_cannot_start_is_status_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: app.Settings) -> int:
        raise app.StartError("127.0.0.1:50051 is in use")

    monkeypatch.setattr(app, "serve", refuse)
    done = run("serve", "--state", tmp_path)
    assert (done.exit_code, done.stderr) == (2, "127.0.0.1:50051 is in use\n")
