"""Load the files, prompts and model of a configuration, each when it is first needed."""

from dataclasses import asdict, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from svt.config import (
    Config,
    DatasetConfig,
    ModelConfig,
    SinglePromptConfig,
    StoredConfig,
    from_mapping,
    to_mapping,
)
from svt.dataset import Dataset, Tokenizer, list_dataset_files, load_prompts, load_tokenizer
from svt.dataset.stored import read_stored_prompts
from svt.db.identity import Identity, identify
from svt.db.stores import Stores
from svt.db.union import has_all_shards, hash_identities
from svt.defaults import whole_dataset
from svt.errors import DataError
from svt.model.files import CONFIG, find_weight_files, localise

if TYPE_CHECKING:
    from svt.compute.model import Model


class Inputs:
    """Inputs of one configuration; SvtError when one is missing or invalid.

    With `stores`, the prompts are those of their dumps.
    """

    def __init__(self, config: Config, stores: Stores | None = None) -> None:
        self._config, self._stores = config, stores

    @cached_property
    def model_config(self) -> ModelConfig:
        """The model's configuration with the local folder of its files."""
        return localise(self._config.model)

    @property
    def folder(self) -> Path:
        return Path(str(self.model_config.path))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.folder)

    @cached_property
    def dataset(self) -> Dataset:
        first = self._datasets[0]
        whole = has_all_shards([asdict(config) for config in self._datasets])
        if whole and not isinstance(first, SinglePromptConfig):
            return self._prompts(replace(first, shard=0, n_shards=1))
        parts = [self._prompts(config) for config in self._datasets]
        prompts = chain.from_iterable(part.prompts for part in parts)
        return Dataset(
            tuple(sorted(prompts, key=lambda prompt: prompt.prompt_id)),
            tuple(dict.fromkeys(chain.from_iterable(part.notes for part in parts))),
        )

    @cached_property
    def identity(self) -> Identity:
        """The identity of the store, or of the union of stores, that these inputs produce."""
        identities = [self._identity(config) for config in self._datasets]
        if len(identities) == 1:
            return identities[0]
        return Identity(hash_identities([one.key for one in identities]), identities[0].weights)

    @cached_property
    def model(self) -> "Model":
        from svt.compute.load import load_model

        return load_model(self.model_config)

    @cached_property
    def _datasets(self) -> tuple[DatasetConfig, ...]:
        """The dataset configuration of every store."""
        stored = self._stores.config.get("datasets") if self._stores else None
        if stored is None:
            return (self._config.dataset,)
        own = to_mapping(self._config)
        return tuple(
            from_mapping(own | {"dataset": whole_dataset(each)}).dataset for each in stored
        )

    def _prompts(self, config: DatasetConfig) -> Dataset:
        stored = (
            read_stored_prompts(config, self.tokenizer)
            if isinstance(config, StoredConfig)
            else None
        )
        return load_prompts(config, self.tokenizer, stored)

    def _identity(self, dataset: DatasetConfig) -> Identity:
        config, files = self._config, list_dataset_files(dataset)
        for file in files:
            if not file.is_file():
                raise DataError(
                    f"dataset={dataset.name}: cannot read {file}: No such file in {Path.cwd()}; "
                    "name another or, for a run that was made in another folder, run svt there"
                )
        return identify(
            config.model,
            dataset,
            config.dump,
            weights=find_weight_files(self.folder),
            others=(self.folder / CONFIG, *self.tokenizer.files, *files),
            prompts=None if files else self._prompts(dataset).digest,
            cache=Path(config.store.dir) / ".digests.json",
        )
