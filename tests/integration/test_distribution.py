"""The wheel in a fresh virtual environment, and the stubs under both of their names."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"api_server", "contract_runtime", "job_client", "service_runtime", "worker_service"}
USERS_PROGRAM = """
import jobs
from job_client import JobClient, NewJob

assert jobs.MINE == "the user's own", jobs
JobClient("127.0.0.1:1").handle("01a212ed-8077-7e02-b9cc-e18b1c00cbbf")
NewJob("compute", {"input": "hello"})
"""
TYPED_PROGRAM = """
from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

from job_client import AsyncJobClient, Job, JobClient, JobClientError, JobHandle


@dataclass
class Thumbnail:
    width: int


class Size(TypedDict):
    width: int


with JobClient.from_env() as client:
    handle = client.submit("thumbnail", Thumbnail(1), result=Thumbnail, attempt_timeout=30)
    assert_type(handle, JobHandle[Thumbnail])
    assert_type(handle.result(), Thumbnail)
    assert_type(client.run("thumbnail", {}, result=Size), Size)
    assert_type(client.run("thumbnail", {}), dict[str, Any])
    for job in client.list(statuses="failed"):
        assert_type(job, Job)
        assert_type(job.attempt, int)


async def main() -> None:
    async with AsyncJobClient("127.0.0.1:3000") as client:
        assert_type(await client.run("thumbnail", {}, result=Thumbnail), Thumbnail)
        assert_type(await client.get("01a212ed-8077-7e02-b9cc-e18b1c00cbbf"), Job)
        assert_type(JobClientError("x").reason, str)
"""
WRONG_PROGRAM = """
from job_client import JobClient

JobClient(address=3000)
JobClient().submit("thumbnail", {}, label={})
"""


def run(*command: str | Path, folder: Path = ROOT, python_path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if python_path:
        environment["PYTHONPATH"] = python_path
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=280
    )


def succeed(*command: str | Path, folder: Path = ROOT, python_path: str = "") -> str:
    ended = run(*command, folder=folder, python_path=python_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel with its base dependencies only."""
    folder = tmp_path_factory.mktemp("environment")
    succeed(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    succeed(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-input", wheel)
    return python


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project, with a package that is called `jobs`."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text('MINE = "the user\'s own"\n')
    (tmp_path / "program.py").write_text(USERS_PROGRAM)
    (tmp_path / "typed.py").write_text(TYPED_PROGRAM)
    (tmp_path / "wrong.py").write_text(WRONG_PROGRAM)
    return tmp_path


def test_the_wheel_has_only_the_packages_of_the_distribution(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert {name.split("/")[2] for name in names if name.startswith("job_client/_gen/")} == {
        "jobs",
        "openapi.json",
    }
    assert "job_client/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.slow
def test_the_client_works_beside_a_package_jobs_of_the_user(python: Path, project: Path) -> None:
    succeed(python, "-W", "error", "program.py", folder=project)


@pytest.mark.slow
def test_the_command_is_installed_and_says_which_packages_it_lacks(python: Path) -> None:
    for name in ("jobctl", "jobs"):
        ran = run(python.with_name(name), "list")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "pip install 'distributed-processing[cli]'" in ran.stderr


@pytest.mark.slow
def test_mypy_in_strict_mode_finds_the_types_of_the_client(python: Path, project: Path) -> None:
    mypy = (sys.executable, "-m", "mypy", "--strict", f"--python-executable={python}")
    cache = f"--cache-dir={project / '.mypy_cache'}"
    succeed(*mypy, cache, "typed.py", folder=project)
    found = run(*mypy, cache, "wrong.py", folder=project).stdout
    assert "wrong.py:4: error" in found
    assert "wrong.py:5: error" in found


@pytest.mark.parametrize("service", ["api_server", "worker_service"])
def test_a_service_leaves_the_names_jobs_and_buf_to_its_user(service: str, project: Path) -> None:
    program = (
        f"import sys, {service}.__main__, {service}.bootstrap, jobs\n"
        "assert jobs.MINE\n"
        "assert not {'buf', 'jobs.v1'} & set(sys.modules)\n"
    )
    succeed(sys.executable, "-c", program, folder=project, python_path=f"{project}:{ROOT}")


PLAIN = "from jobs.v1 import job_pb2 as plain, job_service_pb2_grpc as stubs"
OURS = "from job_client._gen.jobs.v1 import job_pb2 as ours, job_service_pb2_grpc"

SAME = """
import pickle

assert plain.Job is ours.Job
assert stubs.JobServiceStub
assert pickle.loads(pickle.dumps(plain.Job(id="a"))) == ours.Job(id="a")
"""


@pytest.mark.parametrize(
    "imports",
    [(PLAIN, OURS), (OURS, PLAIN), (OURS, "import protovalidate", PLAIN)],
    ids=["plain first", "ours first", "with protovalidate"],
)
def test_the_stubs_work_under_both_names_in_one_process(imports: tuple[str, ...]) -> None:
    program = "\n".join([*imports, SAME])
    succeed(sys.executable, "-W", "error", "-c", program, python_path=f"{ROOT}:{ROOT / 'gen'}")


def test_the_plain_stubs_need_nothing_but_gen(tmp_path: Path) -> None:
    program = f"{PLAIN}\nimport sys\nassert 'job_client' not in sys.modules\nplain.Job()"
    succeed(sys.executable, "-W", "error", "-c", program, folder=tmp_path, python_path=str(ROOT / "gen"))


def test_the_stubs_take_the_rules_of_an_installed_package_buf(tmp_path: Path) -> None:
    program = "import job_client._gen.jobs.v1.job_pb2, sys\nassert 'buf.validate.validate_pb2' in sys.modules"
    (tmp_path / "buf").symlink_to(ROOT / "gen" / "buf")
    succeed(sys.executable, "-c", program, folder=tmp_path, python_path=f"{tmp_path}:{ROOT}")
