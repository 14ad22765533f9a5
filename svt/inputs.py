"""What a configuration names: files, prompts, model; each is looked at when it is first needed."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from svt.config import Config, ModelConfig
from svt.dataset import Dataset, Tokenizer, dataset_files, load_prompts, load_tokenizer
from svt.model_files import CONFIG, localise, weight_files
from svt.store.identity import Identity, identify

if TYPE_CHECKING:
    from svt.compute.model import Model


class Inputs:
    """Of one configuration; SvtError where something is missing or wrong."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @cached_property
    def model_config(self) -> ModelConfig:
        """The model with its files in a folder of this machine."""
        return localise(self._config.model)

    @property
    def folder(self) -> Path:
        return Path(str(self.model_config.path))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.folder)

    @cached_property
    def dataset(self) -> Dataset:
        return load_prompts(self._config.dataset, self.tokenizer)

    @cached_property
    def identity(self) -> Identity:
        """Of the store that these inputs give."""
        config = self._config
        return identify(
            config.model,
            config.dataset,
            config.dump,
            weights=weight_files(self.folder),
            others=(self.folder / CONFIG, *self.tokenizer.files, *dataset_files(config.dataset)),
            cache=Path(config.store.dir) / ".digests.json",
        )

    @cached_property
    def model(self) -> "Model":
        from svt.compute.model import load_model

        return load_model(self.model_config)
