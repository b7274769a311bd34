"""Pictures and pages for a person's eyes: contact sheets, one sample, a dataset to browse.

Hands out `contact_sheet`, `write_dataset_page`, `inspect_samples` and the environment of page templates. It
reads finished datasets alone and imports no other room of pipelines.
"""
