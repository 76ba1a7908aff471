from pathlib import Path

from local_stack.java import Java


def test_classes_are_stored_once_and_then_used(tmp_path: Path) -> None:
    java = Java(tmp_path / "jars")
    command = java.storing_command("Program")
    [output] = [option for option in command if option.startswith("-XX:AOTCacheOutput=")]
    Path(output.partition("=")[2]).write_text("classes")
    java.keep_stored()

    [stored] = tmp_path.iterdir()
    assert stored.read_text() == "classes"
    assert f"-XX:AOTCache={stored}" in java.command("Program")
    assert java.storing_command("Program") == java.command("Program")


def test_a_program_that_stored_nothing_changes_nothing(tmp_path: Path) -> None:
    java = Java(tmp_path / "jars")
    java.keep_stored()
    assert not list(tmp_path.iterdir())
