from __future__ import annotations

from pathlib import Path

from xlam_local.tools.entry_points import find_entry_points


def write_package(site: Path, entry_points: str) -> Path:
    """Write the metadata of a package called weather."""
    info = site / "weather-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weather\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[xlam_local.tools]\n{entry_points}")
    return info


def test_installed_packages_are_found_without_importing_them(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_package(site, "weather = weather.tools:add\nlost = nowhere.tools\n")
    (site / "weather").mkdir()
    (site / "weather" / "__init__.py").write_text("raise SystemExit('imported')")
    (site / "weather" / "tools.py").touch()
    found = {name: (path, value) for path, name, value in find_entry_points([str(site)])}
    assert found["weather"] == (site / "weather" / "tools.py", "weather.tools:add")
    assert not found["lost"][0].exists()


def test_an_editable_installation_is_found_in_its_source(tmp_path: Path) -> None:
    source = tmp_path / "my source"
    (source / "src").mkdir(parents=True)
    (source / "src" / "weather.py").touch()
    info = write_package(tmp_path / "site", "weather = weather\n")
    (info / "direct_url.json").write_text(f'{{"url": "{source.as_uri()}"}}')
    ((path, _, _),) = find_entry_points([str(tmp_path / "site")])
    assert path == source / "src" / "weather.py"
    for damaged in ("[" * 100_000, "[]", "{", "{}"):
        (info / "direct_url.json").write_text(damaged)
        ((path, _, _),) = find_entry_points([str(tmp_path / "site")])
        assert path == tmp_path / "site" / "weather.py"
