"""The callback."""
import pytorch_lightning as pl
class Dashboard(pl.Callback):
    def __init__(self, folder):
        self.folder=folder
