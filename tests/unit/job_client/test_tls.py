"""A client whose server has a certificate of its own authority."""

import shutil
import subprocess
from pathlib import Path

import grpc
import pytest

from job_client import AsyncJobClient, Unavailable
from tests.unit.job_client.fake_system import FakeSystem, running

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The folder with a certificate of localhost, and its key."""
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "ca.pem")]
    more = ["-addext", "subjectAltName=DNS:localhost", *files]
    subprocess.run(["openssl", *arguments.split(), *more], check=True, capture_output=True)
    return tmp_path


async def test_the_environment_turns_tls_on(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ((certificate / "key.pem").read_bytes(), (certificate / "ca.pem").read_bytes())
    system = FakeSystem()
    async with running(system, grpc.ssl_server_credentials([pair])) as address:
        port = address.rpartition(":")[2]
        monkeypatch.setenv("JOBS_URL", f"https://localhost:{port}")
        monkeypatch.setenv("JOBS_TOKEN", "mine")
        async with AsyncJobClient.from_env() as stranger:
            with pytest.raises(Unavailable, match=f"no server answers at localhost:{port} with TLS"):
                await stranger.submit("compute", {})
        monkeypatch.setenv("JOBS_CA_FILE", str(certificate / "ca.pem"))
        async with AsyncJobClient.from_env() as client:
            assert await client.run("compute", {"a": 1}) == {"a": 1}
        assert system.metadata["authorization"] == "Bearer mine"
