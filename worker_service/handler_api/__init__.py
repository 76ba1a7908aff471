"""What a module with handlers imports: the decorator, the job, progress and errors."""
