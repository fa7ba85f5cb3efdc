"""The libraries and the machine that bits depend on are recorded, and changes are reported."""

import os
import sys

import pytest

from raydient.server.training.fingerprint import c_library, differences, fingerprint


def test_the_c_library_is_part_of_the_fingerprint():
    assert fingerprint()["c_library"] == c_library()
    assert c_library().split()[0] in {"glibc", "musl", "macOS"}


def test_glibc_reports_its_version(monkeypatch):
    monkeypatch.setattr(os, "confstr", lambda name: {"CS_GNU_LIBC_VERSION": "glibc 2.99"}[name])
    assert c_library() == "glibc 2.99"


@pytest.fixture
def without_glibc(monkeypatch):
    """A system whose C library lacks glibc's names."""

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)


def test_musl_is_identified_by_its_loader(without_glibc, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    loader = tmp_path / "ld-musl-x86_64.so.1"
    loader.write_bytes(b"one")
    first = c_library(tmp_path)
    loader.write_bytes(b"other")
    assert first.startswith("musl ")
    assert first != c_library(tmp_path)


def test_on_macos_it_is_the_system(without_glibc, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.mac_ver", lambda: ("14.5", ("", "", ""), "arm64"))
    assert c_library(tmp_path) == "macOS 14.5"


def test_any_other_has_a_text(without_glibc, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert c_library(tmp_path).startswith("unknown, ")


def test_a_change_is_reported():
    then, now = {"c_library": "glibc 2.36", "numpy": "2.3"}, {"c_library": "glibc 2.40", "numpy": "2.3"}
    assert differences(then, now) == ["c_library: 'glibc 2.36', now 'glibc 2.40'"]


def test_what_an_older_version_did_not_record_is_no_change():
    assert differences({"numpy": "2.3"}, {"c_library": "glibc 2.36", "numpy": "2.3"}) == []
