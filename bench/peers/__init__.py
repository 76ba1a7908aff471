"""Other job systems, configured as their documentation recommends for jobs that must not be lost."""
