"""A wheel of this repository has every file that the application reads."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from testkit.webserver import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_a_wheel_has_the_scripts_of_redis_the_pages_and_the_sample_data() -> None:
    packed = {
        path
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    assert {path for path in _files() if path.suffix != ".py"} == packed


def test_every_folder_of_the_application_is_a_package_of_the_wheel() -> None:
    folders = {path.parent for path in _files() if path.suffix == ".py"} - {ROOT / "seed_data"}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
    assert PROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == [
        "app",
        "app.*",
        "seed_data",
    ]


def _files() -> list[Path]:
    folders = ROOT / "app", ROOT / "seed_data"
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in found if "__pycache__" not in path.parts]
