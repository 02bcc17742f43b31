"""Networks as Caffe models: `.prototxt` and `.caffemodel`, from blocks that are converted once."""

from __future__ import annotations

from latpred.hardware.caffe.dialects import DIALECTS, Dialect
from latpred.hardware.caffe.messages import Messages
from latpred.hardware.caffe.networks import INPUT, CaffeModel, CaffeNetworks, Calibration

__all__ = ["DIALECTS", "INPUT", "CaffeModel", "CaffeNetworks", "Calibration", "Dialect", "Messages"]
