"""The recipe: one YAML file that says what to read, what to build, how to train it and where results go.

`load_recipe(path, ["posttrain.epochs=3", ...])` is the way in, `recipe.load_data` for commands that take a catalogue as well;
`fields.recipe_fields` tells what there is. What is made of a section as a whole takes the section; below that functions take
plain values.
"""

from openmoon.config.augment import AugmentConfig, EndpointConfig
from openmoon.config.data import DataConfig, SplitConfig
from openmoon.config.encoder import EncoderConfig
from openmoon.config.posttrain import MOON_MIX, PosttrainConfig
from openmoon.config.recipe import Recipe, load_recipe
from openmoon.config.section import Action, Spare
from openmoon.config.training import OptimConfig

__all__ = [
    "MOON_MIX", "Action", "AugmentConfig", "DataConfig", "EncoderConfig", "EndpointConfig", "OptimConfig", "PosttrainConfig",
    "Recipe", "Spare", "SplitConfig", "load_recipe",
]  # fmt: skip
