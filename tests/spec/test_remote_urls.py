"""URLs of remote files: normal form, secrets, and prefixes that cannot be left."""

import pytest

from raydient.spec.errors import InvalidSpec
from raydient.spec.remote import file_name, file_url, has_wildcards, is_below, is_remote, redirected
from raydient.spec.validation import validate_job

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "normal", "name"),
    [
        ("s3://b/d/part-*.parquet", "s3://b/d/part-*.parquet", "part-*.parquet"),
        ("S3://b/Day=1/token=x/a%20b.csv", "s3://b/Day=1/token=x/a%20b.csv", "a%20b.csv"),
        ("HTTPS://Data.Example:443/A%20b.csv?download=1", "https://data.example/A%20b.csv?download=1", "A b.csv"),
        ("https://data.example.:8443/a.csv", "https://data.example.:8443/a.csv", "a.csv"),
        ("http://127.0.0.1:80/a.csv", "http://127.0.0.1/a.csv", "a.csv"),
        ("abfs://container@account.dfs.core.windows.net/a.csv", None, "a.csv"),
        ("gs://b/a?.csv", None, "a?.csv"),
    ],
)
def test_the_normal_form(url: str, normal: str | None, name: str) -> None:
    assert is_remote(url)
    assert file_url(url) == (normal or url)
    assert file_url(file_url(url)) == file_url(url)
    assert file_name(file_url(url)) == name
    assert has_wildcards(file_url(url)) == ("*" in url or url.startswith("gs"))


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        (f"https://user:{SECRET}@h/a.csv", "user name or a password: leave them out, credentials belong"),
        (f"https://{SECRET}@h/a.csv", "user name or a password"),
        (f"s3://key:{SECRET}@b/a.csv", "user name or a password"),
        (f"abfs://c:{SECRET}@account/a.csv", "user name or a password"),
        (f"https://h/a.csv?X-Amz-Signature={SECRET}", "may be a secret: leave it out, credentials belong"),
        (f"https://h/a.csv?sv=2&sig={SECRET}", "may be a secret"),
        (f"https://h/a.csv?access_token={SECRET}", "may be a secret"),
        (f"https://h/a.csv?q=1;Api-Key={SECRET}", "may be a secret"),
        (f"s3://b/a.csv?X-Amz-Credential={SECRET}", "may be a secret"),
        ("s3://b/../a.csv", "`.`, `..`"),
        ("https://h/x/./a.csv", "`.`, `..`"),
        ("https://h/x/%2e%2E/a.csv", "encoded form"),
        ("https://h/x/.%2e/a.csv", "encoded form"),
        ("https://h/x/%252e%252e/a.csv", "encoded form"),
        ("https://h/x%2f..%2Fa.csv", "encoded form"),
        ("https://h/x%3F/../../a.csv", "`.`, `..`"),
        ("memory://b/x%3f/../../a.csv", "`.`, `..`"),
        ("https://h/x/..;/a.csv", "`.`, `..`"),
        ("https://h/x/..;v=1/a.csv", "`.`, `..`"),
        ("https://h/x/..%3B/a.csv", "`.`, `..`"),
        (f"https://h/a.csv?%73ig={SECRET}", "may be a secret"),
        (f"https://h/a.csv?x=1%26to%6Ben%3D{SECRET}", "may be a secret"),
        ("https://h:65536/a.csv", "no valid name of a host: letters, digits, `.` and `-`, then a port up to 65535"),
        ("https://h\\@evil/a.csv", "backslashes"),
        ("https://h/a b.csv", "spaces"),
        ("https://h/a\n.csv", "control characters"),
        ("https:///a.csv", "no valid name of a host"),
        ("https://%65vil/a.csv", "no valid name of a host"),
        ("https://h\u0131/a.csv", "no valid name of a host"),
        ("https://h/a.csv#x", "fragment"),
        ("https://h/a*.csv", "a web server lists no files"),
        ("s3://b*/a.csv", "wildcards before its last part"),
        ("s3:///a.csv", "names no host or bucket"),
        ("file:///etc/passwd", "names a local file: write its path alone"),
        ("local://x/a.csv", "names a local file"),
        ("simplecache::s3://b/a.csv", "a chain of file systems"),
        ("s3://b/a.zip::zip://x.csv", "a chain of file systems"),
    ],
)
def test_refused_urls_and_no_message_shows_their_secrets(url: str, rule: str) -> None:
    network = {"layers": ["flatten"], "loss": "mean_squared_error"}
    for dataset in ({"uri": url}, {"uri": "a.csv", "validation": {"uri": ["b.csv", url]}}):
        with pytest.raises(InvalidSpec) as caught:
            validate_job({"dataset": dataset, "network": network})
        (error,) = caught.value.errors
        assert error.path == ("dataset.uri" if "validation" not in dataset else "dataset.validation.uri[1]")
        assert rule in error.message
        assert SECRET not in str(caught.value)


def test_paths_are_no_urls() -> None:
    assert not any(map(is_remote, ("a.csv", "/data/a.csv", f"datasets/{'0' * 64}", "./a::b.csv", "data/a://b.csv")))


def test_prefixes_end_where_a_name_ends() -> None:
    prefixes = ["s3://b/data", "https://h/", "gs://bucket"]
    for url in ("s3://b/data/a.csv", "s3://b/data", "https://h/x/a.csv", "gs://bucket/a"):
        assert is_below(url, prefixes)
    for url in ("s3://b/database/a.csv", "s3://b/a.csv", "s3://bb/data/a", "https://h.evil/a", "https://h:8443/a"):
        assert not is_below(url, prefixes)
    for url in ("http://h/a", "gs://bucket2/a", "gs://bucket-private/a"):
        assert not is_below(url, prefixes)
    assert not is_below("s3://b/a.csv", [])


def test_the_target_of_a_redirect() -> None:
    assert redirected("https://h/a/b.csv", "../c.csv?sig=1") == "https://h/c.csv"
    assert redirected("https://h/a/b.csv", "//169.254.169.254/x") == "https://169.254.169.254/x"
    for location in ("https://u:p@h/a.csv", "file:///etc/passwd", "https://h/%2e%2e/x", "https://h/a/x%3F/../../x"):
        with pytest.raises(ValueError, match=r"leave|write"):
            redirected("https://h/a.csv", location)
