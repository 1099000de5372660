"""What is measured, and how the files that come with the project are made."""
