"""The recipe as an object: checked, complete, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr

from medseg.recipe import catalogue, components
from medseg.recipe.cascade_section import Cascade
from medseg.recipe.data_section import Data
from medseg.recipe.detection_section import Detection
from medseg.recipe.nodes import Node
from medseg.recipe.problems import COMMAND_LINE
from medseg.recipe.section import Section, Text
from medseg.recipe.sections import Evaluation, Inference, PlanKeys, Trainer
from medseg.recipe.transfer_section import Transfer


# Tuples: behind a validator pydantic's strict mode no longer takes JSON's lists for them.
def _transforms(value: Any) -> Any:
    if value is None or value == "none":
        return ()
    return tuple(value) if isinstance(value, list) else value


def _loggers(value: Any) -> Any:
    if value is None or isinstance(value, str | dict):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return tuple(item for item in value if item not in (None, "none"))


class Recipe(Section):
    """One training: data, network, loss, time.

    Made by `medseg.recipe.load`; ``name`` is the file's, unless the recipe states another.
    """

    name: Text = Field(default="recipe", description="Name of the run; null takes the file's.")
    task: Literal["segmentation", "detection"] = Field(
        default="segmentation",
        description="What is learnt: the class of every voxel, or boxes around objects.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=0, description="Same seed, same machine, same weights."
    )
    run_dir: Text = Field(
        default="runs/recipe", description="Folder of the run; null: runs/<name>."
    )
    data: Data = Field(default_factory=Data, description="Where the cases are.")
    plan: PlanKeys = Field(default_factory=PlanKeys, description="Replaces planned values.")
    detection: Detection = Field(
        default_factory=Detection, description="What is to be found, if task is detection."
    )
    cascade: Cascade = Field(default_factory=Cascade, description="What an earlier stage finds.")
    augmentation: (
        Annotated[tuple[components.Transform, ...], BeforeValidator(_transforms)]
        | Literal["default", "light", "strong"]
    ) = Field(
        default="default",
        description="light (minutes), strong (hours; nnU-Net's set), default (light with the fast "
        "plan, else strong), none, or a list of transforms in order.",
    )
    network: components.Network = Field(
        default=components.default("unet"),
        description="The network; residual_unet is the default with the plan.presets resenc_*, "
        "retina_unet with task detection.",
    )
    loss: components.Loss = Field(
        default=components.default("dice_ce"),
        description="The loss; dice_bce is the default with data.regions, with task detection "
        "retina, or centre_point for a centre_net.",
    )
    optimizer: components.Optimizer = Field(
        default=components.default("adamw"), description="The optimiser."
    )
    schedule: components.Schedule = Field(
        default=components.default("cosine"),
        description="Learning rate over the time, steps or epochs of the training.",
    )
    transfer: Transfer | None = Field(
        default=None, description="Fine-tuning of weights trained before; null: from scratch."
    )
    trainer: Trainer = Field(default_factory=Trainer, description="How long, and with what.")
    inference: Inference = Field(default_factory=Inference, description="Whole volumes.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="Scores.")
    logger: Annotated[tuple[components.Logger, ...], BeforeValidator(_loggers)] = Field(
        default=(components.default("csv"),),
        description="none, csv, tensorboard, wandb, or a list of them.",
    )

    _tree: Node | None = PrivateAttr(default=None)
    _of_task: frozenset[str] = PrivateAttr(default=frozenset())
    _source: str = PrivateAttr(default="")

    @property
    def source(self) -> str:
        """The file that it was read from."""
        return self._source

    def to_dict(self) -> dict[str, Any]:
        """Return every value that is used, defaults included, ``${VAR}`` unexpanded."""
        from medseg.recipe.writing import resolved

        return resolved(self)

    def to_yaml(self) -> str:
        """Return `to_dict` as YAML; `medseg.recipe.load_text` gives the same recipe back."""
        from medseg.recipe.writing import to_yaml

        return to_yaml(self)

    def differences(self, other: Recipe | str) -> list[str]:
        """Return the keys in which two recipes differ; where and what they log does not count.

        Args:
            other: a recipe, or the text of a ``recipe.yaml``, which need not be valid any more.
        """
        from medseg.recipe.writing import differences

        return differences(self, other)

    def states(self, key: str) -> bool:
        """Say whether the recipe's own file or the command line says something under a key.

        What only its parents say, or nobody, can give way to something more particular.
        """
        node = self._tree.get(key) if self._tree is not None else None
        if node is None or key in self._of_task:
            return False
        own = {self._source, COMMAND_LINE}
        return any(part.place.file in own for _, part in node.walk())

    def with_network(self, name: str, arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe with another network; arguments that data and plan decide are left out.

        Args:
            name: as a recipe would spell it.
            arguments: of its constructor.
        """
        record = catalogue.find("network", name)
        apart = catalogue.wired("network", name, record.arguments if record else {})
        given = {key: value for key, value in arguments.items() if key not in apart}
        component = components.read_component("network", {"name": name, **given})
        recipe = self.model_copy(update={"network": component})
        if self._tree is not None:
            entries = {key: node for key, node in self._tree.entries.items() if key != "network"}
            recipe._tree = self._tree.replace(entries)
        return recipe

    def at(self, *path: str | int) -> str:
        """Return ``file:line`` of a key (or of what is above it), for messages of later stages."""
        node = self._tree
        place = node.place if node is not None else None
        for part in path:
            node = node.child(part) if node is not None else None
            place = node.place if node is not None else place
        return str(place) if place is not None else self.source

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recipe):
            return NotImplemented
        return self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]


def key_defaults() -> Mapping[str, Any]:
    """Return the default of every key of the skeleton, by dotted name."""
    out: dict[str, Any] = {}

    def visit(model: type[Section], prefix: str) -> None:
        for name, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            if isinstance(default, Section):
                visit(type(default), f"{prefix}{name}.")
            else:
                out[prefix + name] = default

    visit(Recipe, "")
    return {**out, "name": None, "run_dir": None, "trainer.budget": DEFAULT_BUDGET}


DEFAULT_BUDGET = "15m"
