"""Where things live: paths, file formats, schemas and all SQL."""
