"""Video: files, folders of frames and cameras as frames."""
