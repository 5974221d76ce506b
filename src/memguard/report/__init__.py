"""What people look at: progress, figures, dashboards."""
