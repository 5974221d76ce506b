"""Video: read frames of files, folders of images and cameras."""
