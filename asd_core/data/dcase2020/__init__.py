"""The published archives of DCASE 2020 Task 2: what they hold, and how they are fetched and unpacked.

Reading the folders they leave behind is the business of `data.clips`, as for any other recordings.
"""
