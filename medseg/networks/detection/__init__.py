"""Networks that find boxes, in 2D and 3D, on the encoders of the U-Nets."""

from medseg.networks.detection.centre_net import CentreNet
from medseg.networks.detection.retina_net import RetinaNet
from medseg.networks.detection.retina_unet import RetinaUNet

__all__ = ["CentreNet", "RetinaNet", "RetinaUNet"]
