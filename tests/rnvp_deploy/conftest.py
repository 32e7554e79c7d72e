"""How the properties here are run: on shared machines no single example has a deadline."""

import torch
from hypothesis import settings

settings.register_profile("rnvp_deploy", deadline=None, max_examples=50)
settings.load_profile("rnvp_deploy")
torch.set_num_threads(1)
