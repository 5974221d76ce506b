"""Events: from scores above the alarm to reports, pictures, clips and files."""
