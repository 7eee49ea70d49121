"""The revisions, oldest first; `schema.REVISIONS` lists the same."""
