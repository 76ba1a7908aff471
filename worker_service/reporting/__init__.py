"""Reports the outcomes of jobs to the API server."""
