"""Reports: tables, figures, the report page, and what loggers show of a run."""
