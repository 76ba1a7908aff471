"""Runs the handlers of claimed jobs: on the event loop, in threads or in processes."""
