"""`python -m job_client.cli` is the same as `jobctl`."""

from job_client.cli import main

if __name__ == "__main__":
    main()
