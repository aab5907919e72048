"""Training: a generic loop over chunks of sequences, exact to the bit when it is stopped and resumed."""

from statewise.training.config import TrainConfig
from statewise.training.loop import Progress, train
from statewise.training.problem import Problem

__all__ = ["Problem", "Progress", "TrainConfig", "train"]
